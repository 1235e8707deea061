/** Header blocks of the own application that are far too long: each ends its call alone, and the table stays right. */
import { describe, expect, test } from "@jest/globals";
import { applicationLimits } from "../../../data-plane/http2/limits.js";
import { errorCode, frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { type Field, frame } from "../../support/wire.js";
import { blockOf, EnginePeer, goodRequest, Heard } from "./engine-peer.js";

/** Literals that nobody indexes, so that only what a test puts into the table is in it. */
function plain(fields: readonly Field[]): Buffer {
  const text = (value: string) => [Buffer.of(value.length), Buffer.from(value)];
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), ...text(name), ...text(value)]));
}

const request = plain(goodRequest);
const response = plain([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);
/** Put into the table before a flood, and referred to after it. */
const indexed = Buffer.concat([Buffer.of(0x40, 5), Buffer.from("x-old"), Buffer.of(4), Buffer.from("here")]);

/** A literal that nobody indexes, `size` bytes long. */
function literal(name: string, size: number): Buffer {
  const length = Buffer.of(0x7f, 0, 0, 0, 0);
  for (let at = 1, left = size - 127; at < 5; at++, left = Math.floor(left / 128)) {
    length[at] = (left & 0x7f) | (at < 4 ? 0x80 : 0);
  }
  return Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), length, Buffer.alloc(size, "x")]);
}

/** Puts a field of 1900 bytes into the table, and refers to it `count` times: a byte each on the wire. */
function bomb(count: number): Buffer {
  const entry = Buffer.concat([
    Buffer.of(0x40, 1),
    Buffer.from("b"),
    Buffer.of(0x7f, 0xed, 0x0d),
    Buffer.alloc(1900, "x"),
  ]);
  return Buffer.concat([entry, Buffer.alloc(count, 0xbe)]);
}

const grpcStatus = Buffer.concat([Buffer.of(0, 11), Buffer.from("grpc-status"), Buffer.of(1), Buffer.from("5")]);

/** HEADERS and CONTINUATION of `size` bytes each. */
function framesOf(streamId: number, block: Buffer, size: number, endStream: boolean): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length || at === 0; at += size) {
    const last = at + size >= block.length ? frameFlag.endHeaders : 0;
    const type = at === 0 ? frameType.headers : frameType.continuation;
    const flags = last | (at === 0 && endStream ? frameFlag.endStream : 0);
    frames.push(frame(type, flags, streamId, block.subarray(at, at + size)));
  }
  return frames;
}

interface Flood {
  readonly block: Buffer;
  readonly frameBytes: number;
  /** Entries that it puts into the table. */
  readonly entries: number;
  readonly isTooLong: boolean;
}

const times = (count: number, field: Buffer): Buffer => Buffer.concat(Array<Buffer>(count).fill(field));
const floods: ReadonlyArray<readonly [name: string, flood: Flood]> = [
  ["an entry of 1.9 kB, 12,000 times", { block: bomb(12_000), frameBytes: 16_384, entries: 1, isTooLong: true }],
  [
    "four fields of a million bytes",
    { block: times(4, literal("x-a", 1_000_000)), frameBytes: 16_384, entries: 0, isTooLong: true },
  ],
  ["9000 fields", { block: times(9000, literal("x-a", 127)), frameBytes: 16_384, entries: 0, isTooLong: true }],
  ["30,000 frames of a byte", { block: literal("x-a", 30_000), frameBytes: 1, entries: 0, isTooLong: false }],
  ["30,000 frames of ten", { block: literal("x-a", 300_000), frameBytes: 10, entries: 0, isTooLong: true }],
];

describe.each(floods)("%s", (_name, { block, frameBytes, entries, isTooLong }) => {
  const again = Buffer.of(0xbe + entries);

  test("as the headers of an answer, then as its trailers", () => {
    const peer = new EnginePeer(false, applicationLimits).hello();
    const [first, second, third] = [new Heard(), new Heard(), new Heard()];
    for (const sink of [first, second, third]) {
      peer.connection.open(sink)?.sendFields(null, blockOf(goodRequest), null, false);
    }
    peer.frames();
    peer.send(...framesOf(1, Buffer.concat([response, indexed]), 16_384, false));
    peer.send(...framesOf(3, Buffer.concat([response, block]), frameBytes, false));
    expect([second.oversized !== undefined, second.response.length]).toEqual(isTooLong ? [true, 0] : [false, 3]);
    peer.send(...framesOf(1, Buffer.concat([block, grpcStatus]), frameBytes, true));
    const end = isTooLong ? first.oversized : first.trailers;
    expect(end?.find(([name]) => name === "grpc-status")).toEqual(["grpc-status", "5"]);
    peer.send(...framesOf(5, Buffer.concat([response, Buffer.of(0xbe + 2 * entries)]), 16_384, false));
    expect(third.response.at(-1)).toEqual(["x-old", "here"]);
    expect([peer.connection.dead, peer.connection.budget.usedBytes]).toEqual([false, 0]);
  });

  test("as a request: answered, and the next one is served", () => {
    const peer = new EnginePeer(true, applicationLimits).hello();
    peer.send(...framesOf(1, Buffer.concat([request, indexed]), 16_384, false));
    peer.send(...framesOf(3, Buffer.concat([request, block]), frameBytes, true));
    peer.send(...framesOf(5, Buffer.concat([request, again]), 16_384, false));
    expect(peer.oversized).toEqual(isTooLong ? [3] : []);
    expect([...peer.heard.keys()]).toEqual(isTooLong ? [1, 5] : [1, 3, 5]);
    expect(peer.heard.get(5)?.request).toEqual([...goodRequest, ["x-old", "here"]]);
    expect(peer.connection.dead).toBe(false);
  });
});

test.each([true, false])("beyond 4 MiB of one block the connection ends (server: %s)", (isServer) => {
  const peer = new EnginePeer(isServer, applicationLimits).hello();
  if (!isServer) peer.connection.open(new Heard())?.sendFields(null, blockOf(goodRequest), null, false);
  const block = Buffer.concat([request, ...Array(5).fill(literal("x-a", 1_000_000))]);
  let sent = 0;
  for (const each of framesOf(1, block, 16_384, true)) {
    if (peer.connection.dead) break;
    sent += each.length - 9;
    peer.send(each);
  }
  expect(sent).toBeGreaterThan(4_194_304);
  expect(sent).toBeLessThan(4_194_304 + 2 * 16_384);
  expect(peer.goawayCode()).toBe(errorCode.enhanceYourCalm);
  expect(peer.counters.ended("header_flood")).toBe(1);
  expect(peer.connection.budget.usedBytes).toBe(0);
});
