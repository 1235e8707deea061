/** Rows 3 to 6: header blocks that cost more than they say, or that mean nothing. */
import { errorCode, frameType } from "../../../data-plane/http2/protocol.js";
import type { RawPeer } from "../../support/raw-peer.js";
import { block, codeName, data, type Field, frame, headers, literal, message, request } from "../../support/wire.js";
import {
  type Arena,
  type Check,
  connectionOutcome,
  newId,
  oneOf,
  outcome,
  together,
  type Verdict,
  verdict,
} from "../check.js";
import { pause } from "../child.js";

const mebibyte = 1 << 20;
const signed = (bytes: number): string => `${bytes < 0 ? "" : "+"}${(bytes / mebibyte).toFixed(1)}`;
const good = request("/checks.Echo/Unary");

/** What the attacked process may grow by: V8 takes and returns memory as it likes. */
const rssBytesMax = 64 * mebibyte;

interface Growth {
  /** By the proxy's own account, `ashlar_buffer_bytes`. */
  readonly held: number;
  readonly rss: number;
}

/** Runs an attack and tells what the attacked process holds more for it while the attacker is still connected. */
async function growth(arena: Arena, attack: () => Promise<void>): Promise<Growth> {
  const { attacked } = arena;
  const rss = attacked.child.rssBytes;
  const held = await arena.heldBytes(attacked);
  await attack();
  return { held: (await arena.heldBytes(attacked)) - held, rss: attacked.child.rssBytes - rss };
}

const toldGrowth = ({ held, rss }: Growth): string => `held ${signed(held)} MiB, RSS ${signed(rss)} MiB`;
const isBounded = ({ held, rss }: Growth, heldMax = 4 * mebibyte): boolean => held < heldMax && rss < rssBytesMax;

/** Returns how many frames must be too many: nine short ones, or long ones with four times the limit of a list. */
const framesEnough = (size: number): number => (size < 8192 ? 9 : 100);

const continuationFlood = (size: number): Check => ({
  row: 3,
  name: `CONTINUATION flood, ${size} bytes each`,
  untouched: true,
  run: async (arena) => {
    const peer = await arena.connect();
    const id = newId();
    const content = Buffer.alloc(size, 0x82);
    const sent = framesEnough(size);
    const grew = await growth(arena, async () => {
      peer.send(headers(id, block(good).subarray(0, 20), { endHeaders: false }));
      for (let at = 0; at < sent; at++) peer.send(frame(frameType.continuation, 0, id, content));
      await peer.until(() => peer.fatal !== undefined && peer.closed, 10_000);
    });
    const seen = `${connectionOutcome(peer)} after ${sent} frames, ${toldGrowth(grew)}`;
    const isRight = peer.fatal === errorCode.enhanceYourCalm || peer.fatal === errorCode.protocolError;
    return verdict(isRight && peer.closed && isBounded(grew), seen);
  },
});

/** The same from somebody who writes on and does not read, as long as the system takes it. */
const deafFlood: Check = {
  row: 3,
  name: "CONTINUATION flood by somebody who does not read",
  untouched: true,
  run: async (arena) => {
    const peer = await arena.connect();
    const id = newId();
    const total = arena.seconds(100_000, 20_000);
    const frames = Buffer.concat(
      Array.from({ length: 100 }, () => frame(frameType.continuation, 0, id, Buffer.of(0x82))),
    );
    peer.socket.pause();
    const grew = await growth(arena, async () => {
      peer.send(headers(id, block(good).subarray(0, 20), { endHeaders: false }));
      for (let sent = 0; sent < total; sent += 100) peer.send(frames);
      peer.socket.resume();
      await peer.until(() => peer.closed, 10_000);
    });
    return verdict(peer.closed && isBounded(grew), `${connectionOutcome(peer)}, ${toldGrowth(grew)}`);
  },
};

/** More than a bucket of 500 holds, with what flows into it meanwhile. */
const bombsEnough = 700;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A block that is refused alone; sent again and again it ends the connection. */
const bomb = (name: string, make: (id: number, peer: RawPeer) => Buffer): Check => ({
  row: 4,
  name: `header bomb: ${name}`,
  untouched: true,
  run: async (arena) => {
    const peer = await arena.connect();
    let single = "";
    let sent = 1;
    const grew = await growth(arena, async () => {
      const id = newId();
      peer.send(make(id, peer));
      const stream = peer.stream(id);
      await peer.until(() => stream.isOver || peer.fatal !== undefined, 10_000);
      single = outcome(peer, stream);
      for (; sent < bombsEnough && peer.fatal === undefined && !peer.closed; sent++) {
        peer.send(make(newId(), peer));
        await turn();
      }
      await peer.until(() => peer.fatal !== undefined, 10_000);
    });
    const seen = `${single}; again: ${connectionOutcome(peer)} after ${sent}; ${toldGrowth(grew)}`;
    const isSingle = ["RST_STREAM(PROTOCOL_ERROR)", "HTTP 431", "GOAWAY(ENHANCE_YOUR_CALM)"].includes(single);
    return verdict(isSingle && peer.fatal === errorCode.enhanceYourCalm && isBounded(grew), seen);
  },
});

const many = (field: Field, count: number) => (id: number) =>
  headers(id, block([...good, ...Array.from({ length: count }, () => field)]), { endStream: true });

/** An entry of nearly the whole table, put there once and then named by one byte each time. */
const bigEntry = (id: number, peer: RawPeer) => {
  const first = peer.streams.size <= 1;
  const insert = first ? literal(["x-big", "y".repeat(4000)], true) : Buffer.alloc(0);
  return headers(id, Buffer.concat([block(good), insert, Buffer.alloc(16_000, 0xbe)]), { endStream: true });
};

/** More than is taken and no flood: answered each time, with nothing kept and nothing passed on. */
const oversized = (name: string, make: (id: number) => Buffer): Check => ({
  row: 4,
  name: `too many fields: ${name}`,
  untouched: true,
  run: async (arena) => {
    const peer = await arena.connect();
    const outcomes = new Set<string>();
    const grew = await growth(arena, async () => {
      for (let sent = 0; sent < 300 && peer.fatal === undefined && !peer.closed; sent++) {
        const id = newId();
        peer.send(make(id));
        const stream = peer.stream(id);
        await peer.until(() => stream.isOver || peer.fatal !== undefined, 10_000);
        outcomes.add(outcome(peer, stream));
      }
    });
    const seen = `${[...outcomes].join(", ")}; ${toldGrowth(grew)}`;
    return verdict([...outcomes].join() === "grpc-status 8" && isBounded(grew), seen);
  },
});

const listOf = (bytes: number, fields: number): Field[] =>
  Array.from({ length: fields }, (_, at) => [`x-${at}`, "v".repeat(Math.floor(bytes / fields) - 36)]);

const headerList = (bytes: number, wanted: readonly string[]): Check => ({
  row: 5,
  name: `header list of ${Math.round(bytes / 1024)} KiB`,
  untouched: true,
  run: async (arena) => {
    const peer = await arena.connect();
    const id = newId();
    peer.send(headers(id, [...good, ...listOf(bytes, 20)]), data(id, message("x"), true));
    const stream = peer.stream(id);
    await peer.until(() => stream.isOver || peer.fatal !== undefined || peer.closed, 10_000);
    return oneOf(outcome(peer, stream), ...wanted);
  },
});

const badBlocks: readonly (readonly [string, string])[] = [
  ["index 0", "80"],
  ["index 70 of an empty table", "c6"],
  ["index far away", "ffffff03"],
  ["integer of 10 bytes", "ffffffffffffffffffff01"],
  ["name index 70", "4f0761"],
  ["string past the end", "000161"],
  ["value missing", "000161ff"],
  ["Huffman with EOS", "000161" + "84ffffffff"],
  ["Huffman padding of zeros", "000161" + "8100"],
  ["Huffman padding of 8 bits", "000161" + "821fff"],
  ["table of 4097", "3fe21f"],
  ["size update after a field", "8220"],
  ["three size updates", "202020"],
];

async function badHpack(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const [name, hex] of badBlocks) {
    const peer = await arena.connect();
    peer.send(headers(newId(), Buffer.from(hex, "hex"), { endStream: true }));
    await peer.until(() => peer.goaways.length > 0 || peer.closed, 10_000);
    parts.push([name, oneOf(connectionOutcome(peer), `GOAWAY(${codeName(errorCode.compressionError)})`)]);
    peer.close();
  }
  return together(parts);
}

/** Random bytes as header blocks, from a seed: each ends its connection or its stream, never the process. */
async function fuzzHpack(arena: Arena): Promise<Verdict> {
  let seed = 0x2545f491;
  const next = () => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return seed >>> 0;
  };
  const outcomes = new Map<string, number>();
  for (let round = 0; round < arena.seconds(2000, 40); round++) {
    const peer = await arena.connect();
    const bytes = Buffer.from(Array.from({ length: 1 + (next() % 200) }, () => next() & 0xff));
    const id = newId();
    peer.send(headers(id, bytes, { endStream: true }));
    const stream = peer.stream(id);
    await peer.until(() => stream.isOver || peer.fatal !== undefined || peer.closed, 10_000);
    const seen = outcome(peer, stream);
    outcomes.set(seen, (outcomes.get(seen) ?? 0) + 1);
    peer.close();
  }
  const told = [...outcomes].map(([seen, count]) => `${count} x ${seen}`).join(", ");
  const wanted = /^(GOAWAY\((COMPRESSION_ERROR|PROTOCOL_ERROR|ENHANCE_YOUR_CALM)\)|RST_STREAM\(PROTOCOL_ERROR\))/;
  return verdict(
    [...outcomes.keys()].every((seen) => wanted.test(seen)),
    told,
  );
}

/** Blocks of refused streams still feed the table: an indexed field after them means what it should. */
async function refusedStillDecoded(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  const malformed = request("//no/path");
  for (let at = 0; at < 50; at++) {
    const inserts = literal(["x-sent", `value-${at}`], true);
    peer.send(headers(newId(), Buffer.concat([block(malformed), inserts]), { endStream: true }));
    await pause(1);
  }
  const id = newId();
  const newest = Buffer.of(0x80 | 62);
  peer.send(headers(id, Buffer.concat([block(good), newest])), data(id, message("x"), true));
  const stream = peer.stream(id);
  await peer.until(() => stream.isOver || peer.fatal !== undefined, 10_000);
  const seen = `${outcome(peer, stream)}, the upstream saw x-sent ${stream.value("x-sent")}`;
  return verdict(stream.value("x-sent") === "value-49", seen);
}

export const headerBlocks: readonly Check[] = [
  ...[0, 1, 16_384].map(continuationFlood),
  deafFlood,
  bomb("an entry of 4 KB named 16,000 times", bigEntry),
  bomb("65,000 references of one byte", (id) => headers(id, Buffer.alloc(65_000, 0x82), { endStream: true })),
  bomb("8000 cookie crumbs", many(["cookie", "a=b"], 8000)),
  bomb("8000 copies of host", many(["host", "echo"], 8000)),
  oversized("1200 cookie crumbs", many(["cookie", "a=b"], 1200)),
  oversized("1200 copies of host", many(["host", "echo"], 1200)),
  oversized("1200 empty fields that would be dropped", many(["x-\xff", ""], 1200)),
  headerList(80 * 1024, ["grpc-status 8"]),
  headerList(400 * 1024, ["GOAWAY(ENHANCE_YOUR_CALM)"]),
  { row: 6, name: "bad HPACK", untouched: true, run: badHpack },
  { row: 6, name: "random bytes as header blocks", untouched: true, run: fuzzHpack },
  { row: 6, name: "refused streams still feed HPACK", run: refusedStillDecoded },
];
