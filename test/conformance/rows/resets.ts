/** Rows 1 and 2: streams reset by the peer, and streams that the peer makes us reset. */
import { errorCode, frameType } from "../../../data-plane/http2/protocol.js";
import type { RawPeer } from "../../support/raw-peer.js";
import { codeName, data, frame, headers, message, priority, request, reset, windowUpdate } from "../../support/wire.js";
import { type Arena, type Check, call, connectionOutcome, newId, outcome, type Verdict, verdict } from "../check.js";
import { pause } from "../child.js";

const waiting = request("/checks.Echo/Wait");
const calm = errorCode.enhanceYourCalm;
/** The budget that the documentation states: so many at once, and so many more a second. */
const resetsAtOnce = 500;
const resetsPerSecond = 200;

async function rapidReset(arena: Arena): Promise<Verdict> {
  const { upstream } = arena;
  const peer = await arena.connect();
  const before = newId();
  const startedMs = performance.now();
  let sent = 0;
  while (sent < 5000 && peer.fatal === undefined && !peer.closed) {
    const id = newId();
    peer.send(headers(id, waiting), reset(id, errorCode.cancel));
    if (++sent % 10 === 0) await pause(1);
  }
  await peer.until(() => peer.fatal !== undefined, 10_000);
  const allowed = resetsAtOnce + 100 + ((performance.now() - startedMs) / 1000) * resetsPerSecond;
  const isCalm = peer.fatal === calm;
  // Some were on their way when it ended: what counts is how many it took.
  const taken = ((peer.goaways.at(-1)?.last ?? 0) - before) / 2;
  await peer.until(() => peer.closed, 10_000);
  await pause(300);
  const started = upstream.seen.length;
  const seen = `${connectionOutcome(peer)} after ${taken} of ${sent} resets, ${peer.closed ? "closed" : "left open"}; upstream ${started} starts, ${upstream.mostOpen} at once`;
  return verdict(
    isCalm && peer.closed && taken <= allowed && started <= allowed && upstream.mostOpen <= arena.openCallsMax,
    seen,
  );
}

async function atOnce(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  const pieces = Array.from({ length: 5000 }, () => {
    const id = newId();
    return Buffer.concat([headers(id, waiting), reset(id, errorCode.cancel)]);
  });
  peer.send(Buffer.concat(pieces));
  await peer.until(() => peer.closed, 10_000);
  await pause(300);
  const { seen, mostOpen } = arena.upstream;
  const told = `${connectionOutcome(peer)}; upstream ${seen.length} starts, ${mostOpen} at once`;
  const isCalm = peer.fatal === calm || (peer.closed && peer.error === "ECONNRESET");
  return verdict(isCalm && seen.length < 700 && mostOpen <= arena.openCallsMax, told);
}

async function honest(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  const end = Date.now() + arena.seconds(600, 5) * 1000;
  let cancelled = 0;
  while (Date.now() < end && peer.goaways.length === 0 && !peer.closed) {
    const id = newId();
    peer.send(headers(id, waiting));
    await pause(25);
    peer.send(reset(id, errorCode.cancel));
    cancelled++;
    await pause(25);
  }
  const after = await call(peer);
  await pause(100);
  const seen = `${cancelled} cancelled at 20 a second, then ${outcome(peer, after)}; upstream has ${arena.upstream.openCalls} open`;
  return verdict(outcome(peer, after) === "grpc-status 0" && arena.upstream.openCalls === 0, seen);
}

interface Primitive {
  readonly name: string;
  readonly wanted: readonly number[];
  /** What makes the proxy reset stream `id`, HEADERS included. */
  readonly bytes: (id: number) => Buffer;
}

const open = (id: number, ended = false) => headers(id, waiting, { endStream: ended });
const primitives: readonly Primitive[] = [
  {
    name: "WINDOW_UPDATE of 0",
    wanted: [errorCode.protocolError],
    bytes: (id) => Buffer.concat([open(id), windowUpdate(id, 0)]),
  },
  {
    name: "WINDOW_UPDATE over 2^31-1",
    wanted: [errorCode.flowControlError],
    bytes: (id) => Buffer.concat([open(id), windowUpdate(id, 0x7fff_ffff)]),
  },
  {
    name: "PRIORITY of 4 bytes",
    wanted: [errorCode.frameSizeError],
    bytes: (id) => Buffer.concat([open(id), frame(frameType.priority, 0, id, Buffer.alloc(4))]),
  },
  {
    name: "PRIORITY on itself",
    wanted: [errorCode.protocolError],
    bytes: (id) => Buffer.concat([open(id), priority(id, id)]),
  },
  {
    name: "DATA after END_STREAM",
    wanted: [errorCode.streamClosed],
    bytes: (id) => Buffer.concat([open(id, true), data(id, Buffer.alloc(300))]),
  },
  {
    name: "HEADERS after END_STREAM",
    wanted: [errorCode.streamClosed],
    bytes: (id) => Buffer.concat([open(id, true), headers(id, [["a", "b"]], { endStream: true })]),
  },
  {
    name: "content-length that does not hold",
    wanted: [errorCode.protocolError],
    bytes: (id) =>
      Buffer.concat([
        headers(id, request("/checks.Echo/Wait", { "content-length": "9" })),
        data(id, message("abc"), true),
      ]),
  },
];

function madeYouReset({ name, wanted, bytes }: Primitive): Check {
  return {
    row: 2,
    name: `made to reset: ${name}`,
    run: async (arena) => {
      const first = await arena.connect();
      const id = newId();
      first.send(bytes(id));
      const stream = first.stream(id);
      await first.until(() => stream.isOver || first.fatal !== undefined, 10_000);
      const single = outcome(first, stream);
      await pause(200);
      const isSingle = wanted.some((code) => single === `RST_STREAM(${codeName(code)})`);
      const stillOpen = arena.upstream.openCalls;
      const flood = await arena.connect();
      let sent = 0;
      while (sent < 1000 && flood.fatal === undefined && !flood.closed) {
        flood.send(bytes(newId()));
        if (++sent % 5 === 0) await pause(1);
      }
      await flood.until(() => flood.fatal !== undefined, 10_000);
      await pause(200);
      const { seen, mostOpen } = arena.upstream;
      const told = `${single}${stillOpen > 0 ? ", upstream call left open" : ""}; 1000: ${connectionOutcome(flood)} after ${sent}, upstream ${seen.length} starts, ${mostOpen} at once`;
      const pass = isSingle && stillOpen === 0 && flood.fatal === calm && sent <= 700 && mostOpen <= arena.openCallsMax;
      return verdict(pass, told);
    },
  };
}

/** A peer whose SETTINGS make every response impossible to send must not cost more than a good one. */
async function tinyHeaderList(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect({ settings: [[6, 1]] });
  const outcomes = new Map<string, number>();
  for (let sent = 0; sent < 1000 && peer.fatal === undefined && !peer.closed; sent++) {
    const seen = outcome(peer, await call(peer));
    outcomes.set(seen, (outcomes.get(seen) ?? 0) + 1);
  }
  const told = [...outcomes].map(([seen, count]) => `${count} x ${seen}`).join(", ");
  return verdict(
    [...outcomes.keys()].every((seen) => /^(grpc-status 0|GOAWAY\(ENHANCE)/.test(seen)),
    told,
  );
}

async function uploadsCancelled(arena: Arena): Promise<Verdict> {
  const rate = async (peer: RawPeer) => {
    const startedMs = performance.now();
    for (let round = 0; round < 20; round++) {
      const stream = peer.stream(newId());
      peer.send(headers(stream.id, request("/checks.Echo/Unary")));
      for (let part = 0; part < 3; part++) peer.send(data(stream.id, Buffer.alloc(16_000), part === 2));
      if (!(await peer.until(() => stream.isOver, 10_000))) return 0;
    }
    return (20 * 48_000) / (performance.now() - startedMs);
  };
  const peer = await arena.connect();
  const before = await rate(peer);
  const total = arena.seconds(10_000, 250);
  let cancelled = 0;
  for (; cancelled < total && peer.fatal === undefined && !peer.closed; cancelled++) {
    const id = newId();
    peer.send(headers(id, waiting), data(id, Buffer.alloc(16_000)), data(id, Buffer.alloc(8_000)));
    await pause(1);
    peer.send(reset(id, errorCode.cancel));
    // What follows a reset is a fault of its own; a client that makes it now and then is not cut.
    if (cancelled % 10 === 0) peer.send(data(id, Buffer.alloc(4_000)));
    await pause(arena.quick ? 8 : 30);
  }
  await pause(1000);
  const after = await rate(peer);
  const seen = `${cancelled} cancelled; ${(before / 1000).toFixed(1)} MB/s before, ${(after / 1000).toFixed(1)} after; ${connectionOutcome(peer)}`;
  return verdict(cancelled === total && after > before / 4, seen);
}

export const resets: readonly Check[] = [
  { row: 1, name: "rapid reset, 5000, as fast as answers allow", run: rapidReset },
  { row: 1, name: "rapid reset, 5000 in one write", run: atOnce },
  { row: 1, name: "honest client, 20 cancels a second", counted: false, slowAtGateway: true, run: honest },
  ...primitives.map(madeYouReset),
  { row: 2, name: "SETTINGS_MAX_HEADER_LIST_SIZE 1, 1000 calls", counted: false, run: tinyHeaderList },
  {
    row: 8,
    name: "uploads cancelled half-way, a tenth with DATA after the reset",
    counted: false,
    slowAtGateway: true,
    run: uploadsCancelled,
  },
];
