import { describe, expect, test } from "@jest/globals";
import { clientPreface, errorCode, frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { type Frame, frame, settings, word } from "../../support/wire.js";
import { blockOf, EnginePeer, goodRequest, Heard } from "./engine-peer.js";

const ok = blockOf([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);
const end = blockOf([["grpc-status", "0"]]);

function dataOf(frames: readonly Frame[], streamId: number): Buffer {
  return Buffer.concat(
    frames.filter((each) => each.type === 0 && each.streamId === streamId).map(({ payload }) => payload),
  );
}

describe("what breaks RFC 9113 ends the connection with the right code", () => {
  const cases: ReadonlyArray<readonly [string, number, (peer: EnginePeer) => Buffer]> = [
    ["DATA on stream 0", errorCode.protocolError, () => frame(0, 0, 0, Buffer.of(1))],
    ["DATA on an idle stream", errorCode.protocolError, () => frame(0, 0, 5, Buffer.of(1))],
    [
      "DATA with more padding than bytes",
      errorCode.protocolError,
      (p) => Buffer.concat([p.headers(1), frame(0, 8, 1, Buffer.of(2, 0))]),
    ],
    ["DATA without its padding length", errorCode.protocolError, (p) => Buffer.concat([p.headers(1), frame(0, 8, 1)])],
    ["HEADERS on stream 0", errorCode.protocolError, (p) => p.headers(0)],
    ["HEADERS on an even stream", errorCode.protocolError, (p) => p.headers(2)],
    ["HEADERS with more padding than bytes", errorCode.protocolError, () => frame(1, 12, 1, Buffer.of(9, 0x82))],
    [
      "HEADERS on a stream that was skipped",
      errorCode.protocolError,
      (p) => Buffer.concat([p.headers(5), p.headers(3)]),
    ],
    ["HEADERS too short for its priority", errorCode.frameSizeError, () => frame(1, 0x24, 1, Buffer.alloc(4))],
    ["PRIORITY on stream 0", errorCode.protocolError, () => frame(2, 0, 0, Buffer.alloc(5))],
    ["RST_STREAM on stream 0", errorCode.protocolError, () => frame(3, 0, 0, word(8))],
    ["RST_STREAM on an idle stream", errorCode.protocolError, () => frame(3, 0, 1, word(8))],
    [
      "RST_STREAM of three bytes",
      errorCode.frameSizeError,
      (p) => Buffer.concat([p.headers(1), frame(3, 0, 1, Buffer.alloc(3))]),
    ],
    ["SETTINGS on a stream", errorCode.protocolError, () => frame(4, 0, 1)],
    ["SETTINGS of five bytes", errorCode.frameSizeError, () => frame(4, 0, 0, Buffer.alloc(5))],
    ["a SETTINGS answer with bytes", errorCode.frameSizeError, () => frame(4, 1, 0, Buffer.alloc(6))],
    ["PUSH_PROMISE", errorCode.protocolError, () => frame(5, 4, 1, word(2))],
    ["PING on a stream", errorCode.protocolError, () => frame(6, 0, 1, Buffer.alloc(8))],
    ["PING of six bytes", errorCode.frameSizeError, () => frame(6, 0, 0, Buffer.alloc(6))],
    ["GOAWAY on a stream", errorCode.protocolError, () => frame(7, 0, 1, Buffer.alloc(8))],
    ["GOAWAY of seven bytes", errorCode.frameSizeError, () => frame(7, 0, 0, Buffer.alloc(7))],
    ["WINDOW_UPDATE of 0 on the connection", errorCode.protocolError, () => frame(8, 0, 0, word(0))],
    ["WINDOW_UPDATE of three bytes", errorCode.frameSizeError, () => frame(8, 0, 0, Buffer.alloc(3))],
    ["WINDOW_UPDATE on an idle stream", errorCode.protocolError, () => frame(8, 0, 7, word(1))],
    ["a connection window beyond 2^31-1", errorCode.flowControlError, () => frame(8, 0, 0, word(0x7fff_ffff))],
    ["CONTINUATION without HEADERS", errorCode.protocolError, () => frame(9, 4, 1)],
    ["CONTINUATION of another stream", errorCode.protocolError, () => Buffer.concat([frame(1, 0, 1), frame(9, 4, 3)])],
    [
      "another frame within a header block",
      errorCode.protocolError,
      () => Buffer.concat([frame(1, 0, 1), frame(6, 0, 0, Buffer.alloc(8))]),
    ],
    [
      "a frame of 16,385 bytes",
      errorCode.frameSizeError,
      (p) => Buffer.concat([p.headers(1), frame(0, 0, 1, Buffer.alloc(16_385))]),
    ],
    [
      "CONNECT",
      errorCode.protocolError,
      (p) =>
        p.headers(1, [
          [":method", "CONNECT"],
          [":authority", "a:1"],
        ]),
    ],
  ];
  test.each(cases)("%s", (_name, code, bytes) => {
    const peer = new EnginePeer().hello();
    peer.send(bytes(peer));
    expect(peer.goawayCode()).toBe(code);
    expect(peer.connection.dead).toBe(true);
  });

  test("a wrong preface, and a preface that SETTINGS do not follow", () => {
    const wrong = new EnginePeer().send(Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    expect(wrong.goawayCode()).toBe(errorCode.protocolError);
    const early = new EnginePeer().send(Buffer.from(clientPreface));
    expect(early.send(early.headers(1)).goawayCode()).toBe(errorCode.protocolError);
  });

  test("a window that is overrun: the stream's, then the connection's", () => {
    const peer = new EnginePeer(true, { connectionWindowBytes: 100_000 }).hello();
    peer.send(peer.headers(1), peer.headers(3), peer.headers(5));
    for (const heard of peer.heard.values()) heard.consume = false;
    for (let i = 0; i < 4; i++) peer.send(peer.data(1, Buffer.alloc(16_384)));
    expect(peer.resetCode(1)).toBe(errorCode.flowControlError);
    for (let i = 0; i < 7; i++) peer.send(peer.data(i < 3 ? 3 : 5, Buffer.alloc(16_384)));
    expect(peer.goawayCode()).toBe(errorCode.flowControlError);
  });
});

describe("flow control", () => {
  test("nothing is announced before the owner took the bytes", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1));
    const heard = peer.heard.get(1) as Heard;
    heard.consume = false;
    for (let i = 0; i < 3; i++) peer.send(peer.data(1, Buffer.alloc(16_384)));
    expect(peer.frames()).toEqual([]);
    heard.stream?.consumed(40_000);
    expect(peer.frames().map(({ type, streamId, payload }) => [type, streamId, payload.readUInt32BE(0)])).toEqual([
      [8, 1, 40_000],
    ]);
  });

  test("padding and DATA of dead streams are credited to the connection: 10,000 cancelled uploads cost nothing", () => {
    const peer = new EnginePeer(true, { peerResets: { burst: 1e6, perSecond: 1e6 } }).hello();
    let window = 1_048_576;
    const body = Buffer.concat([Buffer.of(200), Buffer.alloc(16_383)]);
    for (let i = 0; i < 10_000; i++) {
      const id = 2 * i + 1;
      peer.nowMs += 10;
      peer.send(peer.headers(id));
      (peer.heard.get(id) as Heard).consume = false;
      peer.send(frame(0, frameFlag.padded, id, body), frame(3, 0, id, word(8)));
      peer.heard.delete(id);
      window -= body.length;
      for (const { type, streamId, payload } of peer.frames())
        if (type === 8 && streamId === 0) window += payload.readUInt32BE(0);
    }
    expect(peer.connection.dead).toBe(false);
    expect(window).toBeGreaterThan(1_048_576 / 2 - 16_384);
    peer.send(peer.headers(20_001), peer.data(20_001, Buffer.alloc(300), true));
    expect(peer.heard.get(20_001)?.bytes.length).toBe(300);
  });

  test("streams that nobody reads and that hold most of the connection's window do not keep it from the others", () => {
    const connectionWindowBytes = 10 * 65_535;
    const peer = new EnginePeer(true, { connectionWindowBytes }).hello();
    peer.answer = (stream, heard) => {
      heard.consume = stream.id > 17;
    };
    for (let id = 1; id <= 17; id += 2) {
      peer.send(peer.headers(id));
      for (let sent = 0; sent < 65_535; sent += 13_107) peer.send(peer.data(id, Buffer.alloc(13_107)));
    }
    let window = 65_535;
    for (let id = 19; id < 60; id += 2) {
      peer.send(peer.headers(id));
      for (let part = 0; part < 4; part++) {
        expect(window).toBeGreaterThanOrEqual(10_000);
        peer.send(peer.data(id, Buffer.alloc(10_000), part === 3));
        window -= 10_000;
        for (const { type, streamId, payload } of peer.frames())
          if (type === frameType.windowUpdate && streamId === 0) window += payload.readUInt32BE(0);
      }
    }
    expect(peer.connection.dead).toBe(false);
  });

  test("DATA after our own reset is thrown away without a word", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1));
    peer.heard.get(1)?.stream?.reset(errorCode.cancel);
    expect(peer.resetCode(1)).toBe(errorCode.cancel);
    peer.send(peer.data(1, Buffer.alloc(1000)), peer.headers(1, [["late", "1"]], true));
    expect(peer.frames()).toEqual([]);
    expect(peer.connection.dead).toBe(false);
  });

  test("pieces of one stream become one frame until something else is written or the frame is full", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1), peer.headers(3));
    const [one, three] = [peer.heard.get(1)?.stream, peer.heard.get(3)?.stream];
    for (const stream of [one, three]) stream?.sendFields(null, ok, null, false);
    peer.frames();
    const body = Buffer.from("abcdefghij");
    one?.sendData(body, 0, 3, false);
    one?.sendData(body, 3, 5, false);
    three?.sendData(body, 0, 1, false);
    one?.sendData(body, 5, 8, false);
    one?.sendData(body, 8, 10, true);
    const said = peer.frames().filter(({ type }) => type === frameType.data);
    expect(said.map(({ streamId, flags, payload }) => [streamId, flags, payload.toString()])).toEqual([
      [1, 0, "abcde"],
      [3, 0, "a"],
      [1, 1, "fghij"],
    ]);
    three?.sendData(Buffer.alloc(10_000), 0, 10_000, false);
    three?.sendData(Buffer.alloc(10_000), 0, 10_000, false);
    const sizes = peer
      .frames()
      .filter(({ type }) => type === frameType.data)
      .map(({ payload }) => payload.length);
    expect(sizes).toEqual([10_000, 10_000]);
  });

  test("output waits for the stream's window, then the connection's, and trailers wait for the data", () => {
    const peer = new EnginePeer().hello([[4, 10]]);
    peer.send(peer.headers(1, goodRequest, true));
    const { stream } = peer.heard.get(1) as Heard;
    stream?.sendFields(null, ok, null, false);
    const body = Buffer.from("0123456789abcdefghij");
    expect(stream?.sendData(body, 0, 20, false)).toBe(10);
    stream?.sendFields(null, end, null, true);
    let frames = peer.frames();
    expect(dataOf(frames, 1).toString()).toBe("0123456789");
    expect(frames.at(-1)?.type).toBe(frameType.data);
    peer.send(frame(8, 0, 1, word(7)));
    expect(peer.heard.get(1)?.taken).toBe(7);
    peer.send(settings([[4, 13]]));
    frames = peer.frames();
    expect(dataOf(frames, 1).toString()).toBe("abcdefghij");
    expect(frames.at(-1)).toMatchObject({ type: 1, flags: frameFlag.endStream | frameFlag.endHeaders });
    expect(peer.connection.streams.count).toBe(0);
    expect(peer.connection.streams.slots).toBe(0);
  });

  test("an end that is said after the data it waits behind goes with the last of it", () => {
    for (const pieces of [1, 3]) {
      const peer = new EnginePeer().hello([[4, 10]]);
      peer.send(peer.headers(1, goodRequest, true));
      const { stream } = peer.heard.get(1) as Heard;
      stream?.sendFields(null, ok, null, false);
      for (let piece = 0; piece < pieces; piece++) stream?.sendData(Buffer.alloc(20, piece), 0, 20, false);
      expect(stream?.sendData(Buffer.alloc(0), 0, 0, true)).toBe(0);
      expect(peer.frames().some(({ type, flags }) => type === 0 && flags === frameFlag.endStream)).toBe(false);
      peer.send(frame(8, 0, 1, word(100)));
      const frames = peer.frames();
      expect(dataOf(frames, 1).length).toBe(20 * pieces - 10);
      expect(frames.at(-1)).toMatchObject({ type: 0, flags: frameFlag.endStream });
      expect(frames.filter(({ flags, type }) => type === 0 && flags === frameFlag.endStream).length).toBe(1);
      expect(peer.connection.streams.count).toBe(0);
      expect(peer.connection.sender.waitingBytes).toBe(0);
    }
  });

  test("check 9: after five minutes a stream whose peer took nothing, or a byte now and then, is cancelled; a slow reader is not", () => {
    const peer = new EnginePeer().hello([[4, 0]]);
    const perMinute = [0, 12, 4096];
    for (let id = 1; id <= 5; id += 2) {
      peer.send(peer.headers(id, goodRequest, true));
      peer.heard.get(id)?.stream?.sendFields(null, ok, null, false);
      expect(peer.heard.get(id)?.stream?.sendData(Buffer.alloc(65_000), 0, 65_000, true)).toBe(0);
    }
    peer.frames();
    const frames: Frame[] = [];
    for (let minute = 1; minute <= 9; minute++) {
      perMinute.forEach((bytes, place) => {
        if (bytes > 0) peer.send(frame(8, 0, 2 * place + 1, word(bytes)));
      });
      frames.push(...peer.frames());
      peer.nowMs += 60_000;
      peer.connection.tick(peer.nowMs);
      frames.push(...peer.frames());
      expect(frames.some(({ type }) => type === frameType.resetStream)).toBe(minute > 5);
    }
    expect([1, 3, 5].map((id) => peer.resetCode(id, frames))).toEqual([errorCode.cancel, errorCode.cancel, undefined]);
    expect(peer.heard.get(1)?.reset?.code).toBe(errorCode.cancel);
    expect(peer.counters.refused("stalled")).toBe(2);
    expect(dataOf(frames, 5).length).toBe(9 * 4096);
  });
});

describe("the end of a connection", () => {
  test("check 39: two GOAWAYs, streams between them are served, then it ends with the last stream", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1, goodRequest, true));
    peer.connection.shutdown(peer.nowMs);
    let frames = peer.frames();
    expect(frames.map(({ type }) => type)).toEqual([frameType.goaway, frameType.ping]);
    expect(frames[0]?.payload.readUInt32BE(0)).toBe(0x7fff_ffff);
    peer.send(peer.headers(3, goodRequest, true));
    expect(peer.starts).toBe(2);
    peer.send(frame(6, 1, 0, frames[1]?.payload));
    frames = peer.frames();
    expect(frames.map(({ type, payload }) => [type, payload.readUInt32BE(0), payload.readUInt32BE(4)])).toEqual([
      [7, 3, 0],
    ]);
    peer.send(peer.headers(5, goodRequest, true));
    expect(peer.starts).toBe(2);
    for (const id of [1, 3]) {
      expect(peer.connection.dead).toBe(false);
      peer.heard.get(id)?.stream?.sendFields(null, ok, null, true);
    }
    expect(peer.connection.dead).toBe(true);
    expect(peer.goawayCode()).toBeUndefined();
  });

  test("without an answer to the PING the second GOAWAY follows after a while", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1));
    peer.connection.shutdown(peer.nowMs);
    peer.frames();
    peer.connection.tick(peer.nowMs + 1001);
    expect(peer.frames().map(({ payload }) => payload.readUInt32BE(0))).toEqual([1]);
  });

  test("a client learns from GOAWAY which calls may be tried elsewhere", () => {
    const peer = new EnginePeer(false).hello();
    const calls = [new Heard(), new Heard()];
    for (const call of calls) peer.connection.open(call)?.sendFields(null, blockOf(goodRequest), null, true);
    peer.send(frame(7, 0, 0, Buffer.concat([word(1), word(0)])));
    expect(calls[0]?.reset).toBeUndefined();
    expect(calls[1]?.reset).toEqual({ code: errorCode.refusedStream, byPeer: true, unprocessed: true });
    expect(peer.connection.canOpen).toBe(false);
    peer.send(peer.headers(1, [[":status", "200"]], true));
    expect(calls[0]?.ended).toBe(true);
    expect(peer.connection.dead).toBe(true);
  });

  test("an early answer ends the request with NO_ERROR", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1));
    peer.heard.get(1)?.stream?.sendFields(null, ok, null, true);
    expect(peer.resetCode(1)).toBe(errorCode.noError);
    peer.send(peer.data(1, Buffer.alloc(100)));
    expect(peer.frames()).toEqual([]);
  });

  test("preface, header block and SETTINGS answer have their time", () => {
    expect(codeAfter(5_001, new EnginePeer())).toBe(errorCode.protocolError);
    const silent = new EnginePeer();
    silent.send(Buffer.from(clientPreface), settings([]));
    expect(codeAfter(10_001, silent)).toBe(errorCode.settingsTimeout);
    const slow = new EnginePeer().hello().send(frame(1, 0, 1));
    expect(codeAfter(10_001, slow)).toBe(errorCode.enhanceYourCalm);
  });

  function codeAfter(ms: number, peer: EnginePeer): number | undefined {
    peer.connection.tick(peer.nowMs + ms);
    return peer.goawayCode();
  }
});

describe("clients", () => {
  test("open no more streams than the server allows, and go on when it allows more", () => {
    const peer = new EnginePeer(false).hello([[3, 1]]);
    const call = new Heard();
    expect(peer.connection.open(call)).not.toBeNull();
    expect(peer.connection.open(call)).toBeNull();
    peer.send(settings([[3, 2]]));
    expect(peer.connection.open(call)).not.toBeNull();
  });

  test("pass over interim responses and take the final one, its data and trailers", () => {
    const peer = new EnginePeer(false).hello();
    const call = new Heard();
    peer.connection.open(call)?.sendFields(null, blockOf(goodRequest), null, true);
    const request = peer.frames().find(({ type }) => type === frameType.headers) as Frame;
    expect(peer.fieldsOf(request)).toEqual(goodRequest);
    peer.send(
      peer.headers(1, [[":status", "103"]]),
      peer.headers(1, [
        [":status", "200"],
        ["content-type", "application/grpc"],
      ]),
    );
    peer.send(peer.data(1, Buffer.from("hello")), peer.headers(1, [["grpc-status", "0"]], true));
    expect(call.response[0]).toEqual([":status", "200"]);
    expect(call.bytes.toString()).toBe("hello");
    expect(call.trailers).toEqual([["grpc-status", "0"]]);
  });

  test.each<[string, Array<[string, string]>]>([
    ["no status", [["a", "b"]]],
    [
      "a request's field",
      [
        [":status", "200"],
        [":path", "/"],
      ],
    ],
    ["a status of letters", [[":status", "2xx"]]],
    ["101", [[":status", "101"]]],
    [
      "a connection field",
      [
        [":status", "200"],
        ["connection", "close"],
      ],
    ],
  ])("reset a stream whose response has %s", (_name, fields) => {
    const peer = new EnginePeer(false).hello();
    const call = new Heard();
    peer.connection.open(call)?.sendFields(null, blockOf(goodRequest), null, true);
    peer.send(peer.headers(1, fields));
    expect(peer.resetCode(1)).toBe(errorCode.protocolError);
    expect(call.reset).toEqual({ code: errorCode.protocolError, byPeer: false, unprocessed: false });
  });
});

test("HEADERS and DATA of a stream do not wait behind those of one that the peer takes nothing of", () => {
  const peer = new EnginePeer(false).hello([[4, 1000]]);
  const request = blockOf(goodRequest);
  const open = () => {
    const stream = peer.connection.open(new Heard());
    if (stream === null) throw new Error("it takes no streams");
    stream.sendFields(null, request, null, false);
    return stream;
  };
  const stuck = Array.from({ length: 20 }, () => open());
  for (const stream of stuck) stream.sendData(Buffer.alloc(60_000), 0, 60_000, false);
  peer.frames();
  const other = open();
  other.sendData(Buffer.alloc(500, 7), 0, 500, true);
  const frames = peer.frames();
  expect(frames.map(({ type, streamId }) => [type, streamId])).toEqual([
    [frameType.headers, other.id],
    [frameType.data, other.id],
  ]);
  expect(dataOf(frames, other.id)).toEqual(Buffer.alloc(500, 7));
});
