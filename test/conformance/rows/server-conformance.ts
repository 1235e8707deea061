import { data, headers, message, ping, preface, settings, settingsAck, windowUpdate } from "../../support/wire.js";
import {
  type Arena,
  type Check,
  call,
  connectionOutcome,
  newId,
  outcome,
  together,
  type Verdict,
  verdict,
} from "../check.js";

import { frameRules } from "./frame-rules.js";
import { good, isServed, type Rule } from "./server-rule.js";
import { streamRules } from "./stream-rules.js";

const rules: readonly Rule[] = [...streamRules, ...frameRules];

async function follow(arena: Arena, { act, wanted }: Rule): Promise<Verdict> {
  const peer = await arena.connect();
  const id = act(peer);
  const ended = peer.stream(id);
  const isOver = () => peer.goaways.length > 0 || (id !== 0 && ended.isOver);
  await peer.until(isOver, /nothing/.test(wanted.source) ? 300 : 10_000);
  const seen = id === 0 ? connectionOutcome(peer) : outcome(peer, ended);
  const isFatal = seen.startsWith("GOAWAY");
  const closed = !isFatal || (await peer.until(() => peer.closed, 10_000));
  peer.close();
  return verdict(wanted.test(seen) && closed, closed ? seen : `${seen}, connection left open`);
}

async function greetings(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  const start = async (name: string, wanted: RegExp, ...bytes: Buffer[]) => {
    const peer = await arena.connect({ silent: true });
    peer.send(...bytes);
    await peer.until(() => peer.closed || peer.goaways.length > 0, 10_000);
    const seen = connectionOutcome(peer);
    parts.push([name, verdict(wanted.test(seen), seen)]);
    peer.close();
  };
  await start(
    "3.4 a wrong preface",
    /^(GOAWAY\(PROTOCOL_ERROR\)|closed.*)$/,
    Buffer.from("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
    settings(),
  );
  await start("3.4 no SETTINGS first", /^(GOAWAY\(PROTOCOL_ERROR\)|closed.*)$/, preface, ping());
  await start("3.4 SETTINGS ack first", /^(GOAWAY\(PROTOCOL_ERROR\)|closed.*)$/, preface, settingsAck);
  const peer = await arena.connect();
  peer.send(ping("abcdefgh"));
  await peer.until(() => peer.pingAcks.length > 0, 10_000);
  parts.push([
    "6.7 PING is answered with its bytes",
    verdict(peer.pingAcks[0] === "abcdefgh", peer.pingAcks.join() || "nothing"),
  ]);
  const acks = peer.settingsAcks;
  peer.send(settings([[4, 70_000]]));
  await peer.until(() => peer.settingsAcks > acks, 10_000);
  parts.push([
    "6.5.3 SETTINGS are acknowledged",
    verdict(peer.settingsAcks === acks + 1, `${peer.settingsAcks - acks} acks`),
  ]);
  const after = await call(peer);
  parts.push(["then a call", verdict(isServed.test(outcome(peer, after)), outcome(peer, after))]);
  return together(parts);
}

/** Both sides have ended it: the one case that RFC 9113, 5.1, leaves no choice about. */
async function headersAfterEnd(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  const id = newId();
  const stream = peer.stream(id);
  peer.send(headers(id, good), data(id, message("x"), true));
  await peer.until(() => stream.ended, 10_000);
  const first = outcome(peer, stream);
  peer.send(headers(id, good, { endStream: true }));
  await peer.until(() => peer.goaways.length > 0 || peer.closed, 10_000);
  const then = connectionOutcome(peer);
  return verdict(isServed.test(first) && then === "GOAWAY(STREAM_CLOSED)", `${first}, then ${then}`);
}

/** A window of one byte is kept to the byte; growing it by SETTINGS reaches open streams. */
async function sendWindow(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect({ settings: [[4, 3]], opensWindows: false });
  const id = newId();
  const answered = peer.stream(id);
  peer.send(headers(id, good), data(id, message("0123456789"), true));
  await peer.until(() => answered.bytes >= 3, 10_000);
  const first = answered.bytes;
  peer.send(settings([[4, 5]]));
  await peer.until(() => answered.bytes >= 5, 10_000);
  const second = answered.bytes;
  peer.send(windowUpdate(id, 100));
  await peer.until(() => answered.ended, 10_000);
  const seen = `3, then 5, then all: ${first}, ${second}, ${answered.bytes}, ${outcome(peer, answered)}`;
  return verdict(first === 3 && second === 5 && answered.bytes === 15, seen);
}

export const serverConformance: readonly Check[] = [
  {
    row: 13,
    name: `RFC 9113 and 7541, server (${rules.length})`,
    run: async (arena) => {
      const parts: (readonly [string, Verdict])[] = [];
      for (const rule of rules) parts.push([`${rule.section} ${rule.name}`, await follow(arena, rule)]);
      return together(parts);
    },
  },
  { row: 13, name: "greeting, PING, SETTINGS", run: greetings },
  { row: 13, name: "5.1 closed: HEADERS", run: headersAfterEnd },
  { row: 13, name: "send windows are kept", counted: false, run: sendWindow },
];
