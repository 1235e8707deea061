/** Properties of the connection machine: chunking, random sequences of frames, random bytes. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { clientPreface, errorCode, frameFlag } from "../../../data-plane/http2/protocol.js";
import { refusal } from "../../../data-plane/http2/refusals.js";
import type { Stream } from "../../../data-plane/http2/stream.js";
import { runs } from "../../support/runs.js";
import { frame, settings, word } from "../../support/wire.js";
import { blockOf, EnginePeer, goodRequest, Heard } from "./engine-peer.js";

const ok = blockOf([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);

/** A conversation as bytes; everything that can be cut anywhere. */
function conversation(peer: EnginePeer): Buffer {
  const big = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i & 0xff));
  const block = peer.block([...goodRequest, ["x-long", "y".repeat(2000)]]);
  return Buffer.concat([
    Buffer.from(clientPreface),
    settings([
      [4, 1000],
      [1, 100],
    ]),
    frame(4, 1, 0),
    peer.headers(1),
    frame(0, frameFlag.padded, 1, Buffer.concat([Buffer.of(7), big.subarray(0, 500), Buffer.alloc(7)])),
    frame(6, 0, 0, Buffer.from("pingpong")),
    frame(
      1,
      0x20 | frameFlag.padded,
      3,
      Buffer.concat([Buffer.of(3), word(1), Buffer.of(9), block.subarray(0, 90), Buffer.alloc(3)]),
    ),
    frame(9, 0, 3, block.subarray(90, 1000)),
    frame(9, 4, 3, block.subarray(1000)),
    frame(0, 0, 3, big.subarray(0, 16_384)),
    frame(0, 1, 1, big.subarray(500, 900)),
    frame(0xee, 3, 3, Buffer.alloc(50)),
    peer.headers(3, [["x-trailer", "z"]], true),
    frame(8, 0, 0, word(100)),
  ]);
}

describe("properties", () => {
  test("any chunking of the same bytes gives the same result", () => {
    const run = (cuts: readonly number[]) => {
      const peer = new EnginePeer();
      peer.answer = (stream) => {
        stream.sendFields(null, ok, null, false);
        stream.sendData(Buffer.alloc(1500, 0x41), 0, 1500, false);
      };
      const bytes = conversation(peer);
      const places = [0, ...[...cuts].map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
      for (let i = 1; i < places.length; i++) peer.send(bytes.subarray(places[i - 1], places[i]));
      const heard = [...peer.heard].map(([id, { request, bytes: data, trailers, ended }]) => [
        id,
        request,
        data.toString("hex"),
        trailers,
        ended,
      ]);
      return {
        heard,
        dead: peer.connection.dead,
        out: peer
          .frames()
          .filter(({ type }) => type !== 0)
          .map(({ type, streamId }) => [type, streamId]),
      };
    };
    const whole = run([]);
    expect(whole.dead).toBe(false);
    expect(whole.heard.length).toBe(2);
    fc.assert(
      fc.property(fc.array(fc.nat(25_000), { maxLength: 40 }), (cuts) => {
        const cut = run(cuts);
        expect(cut.heard).toEqual(whole.heard);
        expect(cut.dead).toBe(false);
        // How output interleaves depends on the cuts; what is said does not.
        expect([...cut.out].sort()).toEqual([...whole.out].sort());
      }),
      { numRuns: runs(60) },
    );
    expect(run(Array.from({ length: 25_000 }, (_, i) => i))).toMatchObject({ heard: whole.heard, dead: false });
  });

  const anyFrame = fc.tuple(
    fc.oneof(fc.integer({ min: 0, max: 10 }), fc.nat(255)),
    fc.nat(255),
    fc.oneof(fc.integer({ min: 0, max: 9 }), fc.nat(0x7fff_ffff)),
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(300).map((length) => new Uint8Array(length)),
    ),
  );
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("request" as const), end: fc.boolean() }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("data" as const),
        back: fc.nat(5),
        size: fc.nat(3000),
        end: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("reply" as const),
        back: fc.nat(5),
        size: fc.nat(9000),
        end: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("reset" as const), back: fc.nat(5), ours: fc.boolean() }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("window" as const),
        back: fc.nat(5),
        size: fc.integer({ min: 1, max: 5000 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("raw" as const), what: anyFrame }) },
  );

  test("no sequence of frames breaks an invariant: windows, slots, waiting bytes", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const peer = new EnginePeer(true, { connectionWindowBytes: 70_000 }).hello([[4, 3000]]);
        let next = 1;
        for (const each of steps) {
          const id = Math.max(1, next - 2 - 2 * ("back" in each ? each.back : 0));
          const stream = peer.heard.get(id)?.stream;
          if (each.kind === "request") {
            peer.send(peer.headers(next, goodRequest, each.end));
            next += 2;
          } else if (each.kind === "data") peer.send(peer.data(id, Buffer.alloc(each.size), each.end));
          else if (each.kind === "reply" && stream) {
            if (stream.sending === 0) stream.sendFields(null, ok, null, false);
            stream.sendData(Buffer.alloc(each.size), 0, each.size, each.end);
          } else if (each.kind === "reset") {
            if (each.ours) stream?.reset(errorCode.cancel);
            else if (next > id) peer.send(frame(3, 0, id, word(8)));
          } else if (each.kind === "window") peer.send(frame(8, 0, id, word(each.size)));
          else if (each.kind === "raw") {
            const [type, flags, streamId, payload] = each.what;
            peer.send(frame(type, flags, streamId, payload));
          }
          check(peer);
        }
        peer.connection.lost();
        expect(peer.connection.streams.count).toBe(0);
        expect(peer.connection.streams.slots).toBe(0);
        expect(peer.connection.sender.waitingBytes).toBe(0);
        peer.connection.output.abandon();
        expect(peer.connection.budget.usedBytes).toBe(0);
      }),
      { numRuns: runs(300) },
    );
  });

  function check({ connection }: EnginePeer): void {
    if (!connection.dead) {
      expect(connection.data.window).toBeGreaterThanOrEqual(0);
      expect(connection.data.window).toBeLessThanOrEqual(70_000);
    }
    expect(connection.sender.window).toBeGreaterThanOrEqual(0);
    const streams = connection.streams.all();
    expect(streams.length).toBe(connection.streams.count);
    expect(connection.streams.slots).toBe(streams.length);
    expect(streams.reduce((sum, stream) => sum + stream.waitingBytes, 0)).toBe(connection.sender.waitingBytes);
    expect(connection.budget.usedBytes).toBeGreaterThanOrEqual(connection.sender.waitingBytes);
    for (const stream of streams) expect(stream.receiveWindow).toBeGreaterThanOrEqual(0);
  }

  test("a client keeps its invariants whatever frames its server sends", () => {
    const clientStep = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant("open" as const), size: fc.nat(70_000), end: fc.boolean() }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("answer" as const), back: fc.nat(5), end: fc.boolean() }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("data" as const), back: fc.nat(5), size: fc.nat(3000) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant("settings" as const),
          id: fc.integer({ min: 1, max: 7 }),
          value: fc.nat(40_000),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("reap" as const), back: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("raw" as const), what: anyFrame }) },
    );
    fc.assert(
      fc.property(fc.array(clientStep, { maxLength: 80 }), (steps) => {
        const peer = new EnginePeer(false, { connectionWindowBytes: 70_000 }).hello([[4, 3000]]);
        const { connection } = peer;
        const opened: { stream: Stream; heard: Heard }[] = [];
        for (const each of steps) {
          const one = opened.at(-1 - ("back" in each ? each.back : 0));
          if (each.kind === "open") {
            const heard = new Heard();
            const stream = connection.open(heard);
            if (stream !== null) {
              opened.push({ stream, heard });
              stream.sendFields(null, blockOf(goodRequest), null, false);
              stream.sendData(Buffer.alloc(each.size), 0, each.size, each.end);
            }
          } else if (each.kind === "answer" && one) {
            peer.send(
              peer.headers(
                one.stream.id,
                [
                  [":status", "200"],
                  ["content-type", "application/grpc"],
                ],
                each.end,
              ),
            );
          } else if (each.kind === "data" && one) peer.send(peer.data(one.stream.id, Buffer.alloc(each.size)));
          else if (each.kind === "settings") peer.send(settings([[each.id, each.value]]));
          else if (each.kind === "reap" && one) connection.reap(one.stream, errorCode.enhanceYourCalm, refusal.memory);
          else if (each.kind === "raw") {
            const [type, flags, streamId, payload] = each.what;
            peer.send(frame(type, flags, streamId, payload));
          }
          check(peer);
        }
        connection.lost();
        expect([connection.streams.count, connection.streams.slots, connection.sender.waitingBytes]).toEqual([0, 0, 0]);
        connection.output.abandon();
        expect(connection.budget.usedBytes).toBe(0);
      }),
      { numRuns: runs(200) },
    );
  });

  test("random bytes after the preface never throw, in either role", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 }), (chunks) => {
        for (const isServer of [true, false]) {
          const peer = new EnginePeer(isServer).hello();
          for (const chunk of chunks) peer.send(chunk);
          peer.frames();
        }
      }),
      { numRuns: runs(500) },
    );
  });
});
