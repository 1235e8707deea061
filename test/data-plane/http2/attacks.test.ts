import { describe, expect, test } from "@jest/globals";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { errorCode, frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { type Field, type Frame, frame, settings, word } from "../../support/wire.js";
import { blockOf, EnginePeer, goodRequest, Heard } from "./engine-peer.js";

const calm = errorCode.enhanceYourCalm;

describe("check 1, rapid reset", () => {
  test("5000 requests that are reset at once: ENHANCE_YOUR_CALM within 600", () => {
    const peer = new EnginePeer().hello();
    let sent = 0;
    while (!peer.connection.dead && sent < 5000) {
      const id = 2 * sent++ + 1;
      peer.send(peer.headers(id), frame(frameType.resetStream, 0, id, word(errorCode.cancel)));
      if (sent % 50 === 0 && !peer.connection.dead) peer.frames();
    }
    expect(sent).toBeLessThanOrEqual(600);
    expect(peer.goawayCode()).toBe(calm);
    expect(peer.starts).toBeLessThan(700);
    expect(peer.mostOpen).toBeLessThanOrEqual(100);
    expect(peer.counters.refused("peer_resets")).toBe(1);
  });

  test("one budget covers what is cancelled and what is refused while cancelled streams keep their slots", () => {
    const peer = new EnginePeer().hello();
    let sent = 0;
    while (!peer.connection.dead && sent < 5000) {
      const id = 2 * sent++ + 1;
      peer.send(peer.headers(id));
      const stream = peer.heard.get(id)?.stream;
      if (stream) stream.keepSlot = true;
      if (!peer.connection.dead) peer.send(frame(frameType.resetStream, 0, id, word(errorCode.cancel)));
    }
    expect([sent <= 510, peer.starts, peer.goawayCode()]).toEqual([true, 100, calm]);
  });

  test("an honest client that cancels 20 calls a second for ten minutes is not cut", () => {
    const peer = new EnginePeer().hello();
    for (let call = 0; call < 12_000; call++) {
      const id = 2 * call + 1;
      peer.nowMs += 50;
      peer.send(peer.headers(id), frame(frameType.resetStream, 0, id, word(errorCode.cancel)));
      peer.frames();
    }
    expect(peer.connection.dead).toBe(false);
    expect(peer.starts).toBe(12_000);
  });

  test("a stream keeps its slot while its owner says so", () => {
    const peer = new EnginePeer(true, { concurrentStreamsMax: 2 }).hello();
    for (const id of [1, 3]) {
      peer.send(peer.headers(id));
      const heard = peer.heard.get(id);
      if (heard?.stream) heard.stream.keepSlot = true;
      peer.send(frame(frameType.resetStream, 0, id, word(errorCode.cancel)));
    }
    peer.frames();
    peer.send(peer.headers(5));
    expect(peer.resetCode(5)).toBe(errorCode.refusedStream);
    peer.heard.get(1)?.stream?.release();
    peer.send(peer.headers(7));
    expect(peer.resetCode(7)).toBeUndefined();
  });
});

describe("check 2, streams that we are made to reset", () => {
  const primitives: ReadonlyArray<readonly [string, number, (peer: EnginePeer, id: number) => void]> = [
    [
      "WINDOW_UPDATE of 0",
      errorCode.protocolError,
      (peer, id) => peer.send(peer.headers(id), frame(frameType.windowUpdate, 0, id, word(0))),
    ],
    [
      "WINDOW_UPDATE beyond 2^31-1",
      errorCode.flowControlError,
      (peer, id) => peer.send(peer.headers(id), frame(frameType.windowUpdate, 0, id, word(0x7fff_ffff))),
    ],
    [
      "PRIORITY of four bytes",
      errorCode.frameSizeError,
      (peer, id) => peer.send(peer.headers(id), frame(frameType.priority, 0, id, Buffer.alloc(4))),
    ],
    [
      "PRIORITY on itself",
      errorCode.protocolError,
      (peer, id) =>
        peer.send(peer.headers(id), frame(frameType.priority, 0, id, Buffer.concat([word(id), Buffer.of(0)]))),
    ],
    [
      "DATA after END_STREAM",
      errorCode.streamClosed,
      (peer, id) => peer.send(peer.headers(id, goodRequest, true), peer.data(id, Buffer.alloc(300))),
    ],
    [
      "HEADERS after END_STREAM",
      errorCode.streamClosed,
      (peer, id) => peer.send(peer.headers(id, goodRequest, true), peer.headers(id, [["a", "b"]], true)),
    ],
    [
      "a content-length that does not hold",
      errorCode.protocolError,
      (peer, id) =>
        peer.send(peer.headers(id, [...goodRequest, ["content-length", "5"]]), peer.data(id, Buffer.alloc(4), true)),
    ],
  ];

  test.each(primitives)("%s", (_name, code, provoke) => {
    const peer = new EnginePeer().hello();
    provoke(peer, 1);
    expect(peer.resetCode(1)).toBe(code);
    expect(peer.connection.dead).toBe(false);
    let count = 1;
    for (; count < 1000 && !peer.connection.dead; count++) {
      peer.nowMs += 20; // the budgets for PRIORITY and WINDOW_UPDATE are not what ends it
      provoke(peer, 2 * count + 1);
      if (!peer.connection.dead) peer.frames();
    }
    expect(peer.goawayCode()).toBe(calm);
    expect(count).toBeGreaterThan(450);
    expect(count).toBeLessThan(700);
    expect(peer.connection.streams.count).toBe(0);
  });

  test("HEADERS on a stream that both sides have ended end the connection (RFC 9113, 5.1); on one that was reset they do not", () => {
    const peer = new EnginePeer().hello();
    peer.answer = (stream) => stream.sendFields([new PreparedField(":status", "200")], null, null, true);
    peer.send(peer.headers(1, goodRequest, true));
    expect(peer.connection.streams.count).toBe(0);
    peer.send(peer.headers(3), frame(frameType.resetStream, 0, 3, word(errorCode.cancel)), peer.headers(3));
    expect(peer.connection.dead).toBe(false);
    peer.send(peer.headers(1, goodRequest, true));
    expect(peer.goawayCode()).toBe(errorCode.streamClosed);
  });

  test("check 2: a malformed PRIORITY on an idle stream is a stream error, counted, and the stream may still be opened", () => {
    const peer = new EnginePeer().hello();
    for (const [id, payload, code] of [
      [7, Buffer.alloc(4), errorCode.frameSizeError],
      [9, Buffer.concat([word(9), Buffer.of(0)]), errorCode.protocolError],
    ] as const) {
      peer.send(frame(frameType.priority, 0, id, payload));
      const frames = peer.frames();
      expect(peer.resetCode(id, frames)).toBe(code);
      expect(peer.goawayCode(frames)).toBeUndefined();
    }
    expect(peer.counters.ownResets).toBe(2);
    expect(peer.counters.refused("priority")).toBe(2);
    peer.send(peer.headers(7, goodRequest, true));
    expect(peer.heard.has(7)).toBe(true);
    for (let i = 0; i < 800 && !peer.connection.dead; i++) {
      peer.nowMs += 20;
      peer.send(frame(frameType.priority, 0, 11, Buffer.alloc(4)));
    }
    expect(peer.goawayCode()).toBe(errorCode.enhanceYourCalm);
  });

  test("1000 at once end at the 501st", () => {
    const peer = new EnginePeer().hello();
    let count = 0;
    for (; count < 1000 && !peer.connection.dead; count++) {
      peer.send(peer.headers(2 * count + 1), frame(frameType.windowUpdate, 0, 2 * count + 1, word(0)));
      if (count % 100 === 0 && !peer.connection.dead) peer.frames();
    }
    expect(peer.goawayCode()).toBe(calm);
    expect(count).toBeLessThan(520);
  });
});

describe("check 3, CONTINUATION", () => {
  test.each([0, 1, 6000])("frames of %d bytes: closed at the ninth at the latest", (size) => {
    const peer = new EnginePeer().hello();
    peer.send(frame(frameType.headers, 0, 1, Buffer.of(0x82)));
    let count = 0;
    for (; count < 100 && !peer.connection.dead; count++)
      peer.send(frame(frameType.continuation, 0, 1, Buffer.alloc(size, 0x82)));
    expect(count).toBe(9);
    expect(peer.goawayCode()).toBe(calm);
    expect(peer.starts).toBe(0);
  });

  test("16 KiB each: closed once four times the list limit is held", () => {
    const peer = new EnginePeer().hello();
    peer.send(frame(frameType.headers, 0, 1, Buffer.of(0x82)));
    let count = 0;
    for (; count < 100 && !peer.connection.dead; count++)
      peer.send(frame(frameType.continuation, 0, 1, Buffer.alloc(16_384)));
    expect(count).toBe(16);
    expect(peer.goawayCode()).toBe(calm);
  });

  test("eight are fine", () => {
    const peer = new EnginePeer().hello();
    const block = peer.block(goodRequest);
    peer.send(frame(frameType.headers, frameFlag.endStream, 1, block.subarray(0, 3)));
    for (let i = 0; i < 7; i++) peer.send(frame(frameType.continuation, 0, 1, block.subarray(3 + i, 4 + i)));
    peer.send(frame(frameType.continuation, frameFlag.endHeaders, 1, block.subarray(10)));
    expect(peer.heard.get(1)?.request).toEqual(goodRequest);
  });
});

describe("checks 4 to 6, header blocks", () => {
  test.each([
    ["cookie crumbs", ["cookie", "a=b"]],
    ["copies of host", ["host", "payments"]],
  ] as const)("2000 %s: answered, U0, and no more kept than of the first; again and again too", (_name, field) => {
    const peer = new EnginePeer().hello();
    const many = (count: number) => [...goodRequest, ...Array.from({ length: count }, () => field)];
    peer.send(peer.headers(1, many(2000)));
    peer.fieldsOf(peer.frames()[0] as Frame);
    const held = peer.connection.headers.heldBytes;
    expect(held).toBeLessThan(40_000);
    for (let id = 3; id < 1001; id += 2) {
      peer.send(peer.headers(id, many(2000)));
      const frames = peer.frames();
      expect(peer.fieldsOf(frames[0] as Frame)).toContainEqual(["grpc-status", "8"]);
      expect(peer.resetCode(id, frames)).toBe(errorCode.noError);
      expect(peer.connection.headers.heldBytes).toBe(held);
    }
    expect(peer.starts).toBe(0);
    expect(peer.counters.ownResets).toBe(0);
    expect(peer.counters.refused("header_list")).toBe(500);
  });

  test("65,000 references of one byte end the connection", () => {
    const peer = new EnginePeer().hello();
    peer.send(frame(frameType.headers, 0, 1, Buffer.alloc(16_384, 0x82)));
    for (let i = 0; i < 3; i++)
      peer.send(frame(frameType.continuation, i === 2 ? 4 : 0, 1, Buffer.alloc(16_000, 0x82)));
    expect(peer.goawayCode()).toBe(calm);
    expect(peer.connection.headers.check.contentLength).toBe(-1);
    expect(peer.starts).toBe(0);
  });

  test("a list of 60 KiB is served, one of 80 KiB answered, one of 280 KiB ends the connection", () => {
    const peer = new EnginePeer().hello();
    const long = (bytes: number) => [...goodRequest, ["a", "~".repeat(bytes)]] as const;
    const send = (id: number, bytes: number) => {
      const block = peer.block(long(bytes));
      peer.send(frame(frameType.headers, 0, id, block.subarray(0, 16_384)));
      for (let at = 16_384; at < block.length; at += 16_384) {
        const flags = at + 16_384 < block.length ? 0 : frameFlag.endHeaders;
        peer.send(frame(frameType.continuation, flags, id, block.subarray(at, at + 16_384)));
      }
    };
    send(1, 60_000);
    expect(peer.heard.get(1)?.request).toEqual(long(60_000));
    send(3, 80_000);
    expect(peer.oversized).toEqual([3]);
    expect(peer.counters.refused("header_list")).toBe(1);
    send(5, 200_000);
    expect(peer.oversized).toEqual([3, 5]);
    send(7, 280_000);
    expect(peer.goawayCode()).toBe(calm);
    expect(peer.connection.budget.usedBytes).toBeLessThan(300_000);
  });

  test("of trailers that are too long the status is left, wherever it stands, and the next block is read as it should be", () => {
    for (const order of ["first", "last"]) {
      const peer = new EnginePeer(false).hello();
      const heard = new Heard();
      const stream = peer.connection.open(heard);
      stream?.sendFields([new PreparedField(":method", "POST")], null, null, true);
      peer.send(peer.headers(1, [[":status", "200"]]));
      const big: Field[] = Array.from({ length: 1100 }, (_, at) => [`x-${at % 7}`, "v"]);
      const end: Field[] = [
        ["grpc-status", "5"],
        ["grpc-message", "no such "],
      ];
      peer.send(peer.headers(1, order === "first" ? [...end, ...big] : [...big, ...end], true));
      expect(heard.oversized).toEqual(
        expect.arrayContaining([
          ["grpc-status", "5"],
          ["grpc-message", "no such"],
        ]),
      );
      expect([heard.ended, peer.connection.streams.count, peer.counters.ownResets]).toEqual([true, 0, 0]);
      const next = new Heard();
      peer.connection.open(next)?.sendFields([new PreparedField(":method", "POST")], null, null, true);
      peer.send(
        peer.headers(
          3,
          [
            [":status", "200"],
            ["x-1", "v"],
            ["grpc-status", "5"],
          ],
          true,
        ),
      );
      expect(next.response).toEqual([
        [":status", "200"],
        ["x-1", "v"],
        ["grpc-status", "5"],
      ]);
    }
  });

  test.each([
    ["index 0", "80"],
    ["index 70", "c6"],
    ["bad Huffman", "00816181ff".replace("81ff", "8100")],
    ["a table beyond 4096", "3fe21f"],
  ])("%s: COMPRESSION_ERROR", (_name, hex) => {
    const peer = new EnginePeer().hello();
    peer.send(frame(frameType.headers, frameFlag.endHeaders, 1, Buffer.from(hex, "hex")));
    expect(peer.goawayCode()).toBe(errorCode.compressionError);
  });

  test("refused streams still feed the table", () => {
    const peer = new EnginePeer(true, { concurrentStreamsMax: 1 }).hello();
    peer.send(peer.headers(1));
    for (let i = 0; i < 50; i++) peer.send(peer.headers(2 * i + 3, [...goodRequest, [`x-${i % 4}`, "v"]]));
    peer.frames();
    peer.send(frame(frameType.resetStream, 0, 1, word(errorCode.cancel)));
    peer.send(peer.headers(103, [...goodRequest, ["x-1", "v"], ["x-2", "v"]]));
    expect(peer.heard.get(103)?.request).toEqual([...goodRequest, ["x-1", "v"], ["x-2", "v"]]);
  });
});

describe("checks 7 and 8, floods", () => {
  const floods: ReadonlyArray<readonly [string, Buffer]> = [
    ["PING", frame(frameType.ping, 0, 0, Buffer.alloc(8))],
    ["SETTINGS", settings([])],
    ["PRIORITY", frame(frameType.priority, 0, 1, Buffer.concat([word(0), Buffer.of(0)]))],
    ["an unknown type", frame(0x0b, 0, 0, Buffer.alloc(20))],
    ["PING answers", frame(frameType.ping, frameFlag.ack, 0, Buffer.alloc(8))],
    ["WINDOW_UPDATE", frame(frameType.windowUpdate, 0, 0, word(1))],
    ["empty DATA", frame(frameType.data, 0, 1)],
    ["DATA of one byte", frame(frameType.data, 0, 1, Buffer.of(1))],
    ["DATA of one zero byte", frame(frameType.data, 0, 1, Buffer.of(0))],
  ];
  test.each(floods)("10,000 of %s in a second, nothing read: ENHANCE_YOUR_CALM", (_name, bytes) => {
    const peer = new EnginePeer(true, { pingIntervalMinMs: 0 }).hello();
    peer.send(peer.headers(1));
    let count = 0;
    for (; count < 10_000 && !peer.connection.dead; count++) {
      peer.nowMs += 0.1;
      peer.send(bytes);
    }
    expect(peer.connection.output.controlFrames).toBeLessThanOrEqual(1001);
    expect(peer.goawayCode()).toBe(calm);
    expect(count).toBeLessThan(2500);
  });

  test("every unknown type is tolerated and counted", () => {
    const peer = new EnginePeer().hello();
    for (let type = 0x0a; type <= 0xff; type++) peer.send(frame(type, 0xff, type % 3, Buffer.alloc(type)));
    peer.send(peer.headers(1));
    expect(peer.starts).toBe(1);
    expect(peer.counters.unknownFrames).toBe(246);
  });

  test("1000 small gRPC messages a second are legal, with the prefix in a frame of its own too", () => {
    for (const split of [false, true]) {
      const peer = new EnginePeer().hello();
      peer.send(peer.headers(1));
      const message = Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]);
      for (let i = 0; i < 10_000; i++) {
        peer.nowMs += 1;
        if (split) peer.send(peer.data(1, message.subarray(0, 5)), peer.data(1, message.subarray(5)));
        else peer.send(peer.data(1, message));
        if (i % 500 === 0) peer.frames();
      }
      expect(peer.connection.dead).toBe(false);
      expect(peer.heard.get(1)?.bytes.length).toBe(80_000);
    }
  });

  test("a bulk stream whose frames were cut by proxies on the way is legal", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1));
    const length = 1_000_000;
    peer.send(peer.data(1, Buffer.concat([Buffer.of(0), word(length), Buffer.alloc(100)])));
    for (let left = length - 100; left > 1000; left -= 601) {
      peer.send(peer.data(1, Buffer.alloc(1)), peer.data(1, Buffer.alloc(600)));
      peer.frames();
    }
    expect(peer.connection.dead).toBe(false);
  });
});

describe("checks 11 and 12, limits of streams and settings", () => {
  test("the 101st stream is refused, before any SETTINGS are acknowledged too", () => {
    const peer = new EnginePeer();
    peer.send(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings([]));
    for (let i = 0; i < 101; i++) peer.send(peer.headers(2 * i + 1));
    expect(peer.resetCode(201)).toBe(errorCode.refusedStream);
    expect(peer.starts).toBe(100);
    expect(peer.counters.refused("streams_max")).toBe(1);
  });

  const invalid: ReadonlyArray<readonly [string, number, number, number]> = [
    ["MAX_FRAME_SIZE 0", 5, 0, errorCode.protocolError],
    ["MAX_FRAME_SIZE 16383", 5, 16_383, errorCode.protocolError],
    ["MAX_FRAME_SIZE 2^24", 5, 2 ** 24, errorCode.protocolError],
    ["INITIAL_WINDOW_SIZE 2^31", 4, 2 ** 31, errorCode.flowControlError],
    ["ENABLE_PUSH 2", 2, 2, errorCode.protocolError],
  ];
  for (const isServer of [true, false]) {
    test.each(invalid)(`${isServer ? "from a client" : "from a server"}: %s`, (_name, id, value, code) => {
      const peer = new EnginePeer(isServer).hello();
      peer.send(settings([[id, value]]));
      expect(peer.goawayCode()).toBe(code);
    });
  }

  test("a server must not enable push", () => {
    const peer = new EnginePeer(false).hello();
    peer.send(settings([[2, 1]]));
    expect(peer.goawayCode()).toBe(errorCode.protocolError);
  });

  test("valid but silly settings are served: no table, a huge one, a list of one byte", () => {
    for (const entries of [[[1, 0]], [[1, 2 ** 32 - 1]], [[6, 1]], [[0x99, 7]]] as const) {
      const peer = new EnginePeer().hello(entries);
      for (let id = 1; id < 20; id += 2) {
        peer.send(peer.headers(id, goodRequest, true));
        peer.heard.get(id)?.stream?.sendFields(null, blockOf([[":status", "200"]]), null, true);
      }
      expect(peer.connection.dead).toBe(false);
    }
  });

  test("33 entries in one SETTINGS end the connection", () => {
    const peer = new EnginePeer().hello();
    peer.send(settings(Array.from({ length: 33 }, () => [0x99, 1] as const)));
    expect(peer.goawayCode()).toBe(calm);
  });
});
