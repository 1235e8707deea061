import { describe, expect, test } from "@jest/globals";
import { applicationLimits } from "../../../data-plane/http2/limits.js";
import { errorCode, frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { runs } from "../../support/runs.js";
import { frame, word } from "../../support/wire.js";
import { blockOf, EnginePeer, goodRequest, Heard } from "./engine-peer.js";

const reset = (id: number): Buffer => frame(frameType.resetStream, 0, id, word(errorCode.cancel));
const ping = frame(frameType.ping, 0, 0, Buffer.from("bdpprobe"));
const goodResponse = [
  [":status", "200"],
  ["content-type", "application/grpc"],
] as const;

describe("between proxies, what applications do ends no connection", () => {
  test("60 missed deadlines a second for an hour", () => {
    const peer = new EnginePeer().hello();
    for (let call = 0; call < runs(3600) * 60 && !peer.connection.dead; call += 10) {
      const ids = Array.from({ length: 10 }, (_, place) => 2 * (call + place) + 1);
      peer.send(...ids.map((id) => peer.headers(id)));
      peer.nowMs += 20;
      peer.send(...ids.map(reset));
      peer.nowMs += 10 * (1000 / 60) - 20;
      peer.frames();
    }
    expect(peer.connection.dead).toBe(false);
  });

  test("2000 deadlines of 50 ms a second: the limit of streams bounds them", () => {
    const peer = new EnginePeer().hello();
    let next = 1;
    for (let round = 0; round < 200; round++) {
      const ids = Array.from({ length: 100 }, () => (next += 2));
      peer.send(...ids.map((id) => peer.headers(id)));
      peer.nowMs += 50;
      peer.send(...ids.map(reset));
      peer.frames();
    }
    expect(peer.connection.dead).toBe(false);
    expect(peer.starts).toBe(20_000);
  });

  test("ten streams of 30 DATA frames of one byte a second", () => {
    const peer = new EnginePeer().hello();
    const ids = Array.from({ length: 10 }, (_, place) => 2 * place + 1);
    peer.send(...ids.map((id) => peer.headers(id)));
    for (const id of ids) peer.send(peer.data(id, Buffer.concat([Buffer.of(0), word(1_000_000)])));
    for (let round = 0; round < 30 * 60; round++) {
      peer.nowMs += 1000 / 30;
      for (const id of ids) peer.send(peer.data(id, Buffer.of(1)));
      peer.frames();
    }
    expect(peer.connection.dead).toBe(false);
    expect(ids.every((id) => peer.heard.get(id)?.reset === undefined)).toBe(true);
  });

  test("a stream that trickles 10,000 frames a second ends, the others and the connection do not", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1), peer.headers(3));
    peer.send(peer.data(1, Buffer.concat([Buffer.of(0), word(1_000_000)])));
    for (let count = 0; count < 1000 && peer.heard.get(1)?.reset === undefined; count++) {
      peer.nowMs += 0.1;
      peer.send(peer.data(1, Buffer.of(1)));
    }
    expect(peer.resetCode(1)).toBe(errorCode.enhanceYourCalm);
    expect(peer.connection.dead).toBe(false);
    expect(peer.heard.get(3)?.reset).toBeUndefined();
  });

  test("a PING for each DATA frame that it was sent", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1));
    peer.heard.get(1)?.stream?.sendFields(null, null, null, false);
    for (let round = 0; round < 5000; round++) {
      peer.nowMs += 1;
      peer.heard.get(1)?.stream?.sendData(Buffer.alloc(10), 0, 10, false);
      peer.frames();
      peer.send(ping, frame(frameType.windowUpdate, 0, 1, word(10)), frame(frameType.windowUpdate, 0, 0, word(10)));
    }
    expect(peer.connection.dead).toBe(false);
  });

  test("pings without end: GOAWAY says what gRPC's clients know", () => {
    const peer = new EnginePeer().hello();
    for (let count = 0; count < 10 && !peer.connection.dead; count++) peer.send(ping);
    const goaway = peer.frames().find(({ type }) => type === frameType.goaway);
    expect(goaway?.payload.readUInt32BE(4)).toBe(errorCode.enhanceYourCalm);
    expect(goaway?.payload.subarray(8).toString()).toBe("too_many_pings");
  });

  test("900 streams that were ended early with DATA, a reset and a WINDOW_UPDATE each under way", () => {
    const peer = new EnginePeer(true, { concurrentStreamsMax: 1000 }).hello();
    peer.answer = (stream) => stream.sendFields(null, null, null, true);
    const ids = Array.from({ length: 900 }, (_, place) => 2 * place + 1);
    peer.send(...ids.map((id) => peer.headers(id)));
    peer.frames();
    for (const id of ids) {
      peer.send(frame(frameType.windowUpdate, 0, id, word(5)), peer.data(id, Buffer.alloc(5), id % 4 === 1));
      if (id % 4 === 3) peer.send(reset(id));
    }
    expect(peer.connection.dead).toBe(false);
    expect(peer.frames().filter(({ type }) => type === frameType.resetStream)).toEqual([]);
  });

  test("late frames are counted all the same: a flood of them ends the connection", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1));
    peer.heard.get(1)?.stream?.reset(errorCode.cancel);
    let count = 0;
    for (; count < 10_000 && !peer.connection.dead; count++) peer.send(peer.data(1, Buffer.alloc(0)));
    expect(peer.goawayCode()).toBe(errorCode.enhanceYourCalm);
    expect(count).toBeLessThan(2000);
    expect(peer.counters.ended("glitches")).toBe(1);
  });
});

test("small pieces of many streams go out in two frames a turn for each, whole and before the trailers", () => {
  const peer = new EnginePeer().hello();
  const ids = Array.from({ length: 10 }, (_, place) => 2 * place + 1);
  peer.send(...ids.map((id) => peer.headers(id, goodRequest, true)));
  const streams = ids.map((id) => peer.heard.get(id)?.stream);
  for (const stream of streams) stream?.sendFields(null, blockOf(goodResponse), null, false);
  for (let piece = 0; piece < 20; piece++)
    for (const stream of streams) stream?.sendData(Buffer.alloc(7, piece), 0, 7, false);
  streams[0]?.sendFields(null, blockOf([["grpc-status", "0"]]), null, true);
  const frames = peer.frames();
  for (const id of ids) {
    const own = frames.filter(({ streamId }) => streamId === id);
    const parts = own.filter(({ type }) => type === frameType.data).map(({ payload }) => payload);
    expect(parts.length).toBeLessThanOrEqual(2);
    expect(Buffer.concat(parts)).toEqual(
      Buffer.concat(Array.from({ length: 20 }, (_, piece) => Buffer.alloc(7, piece))),
    );
    expect(own.at(-1)?.type).toBe(id === 1 ? frameType.headers : frameType.data);
  }
  expect(peer.heard.get(1)?.taken).toBe(19 * 7);
  expect(peer.connection.sender.waitingBytes).toBe(0);
});

describe("whatever the own application sends, its connection goes on", () => {
  const many: ReadonlyArray<readonly [string, Buffer]> = [
    ["PING", ping],
    ["PING answers", frame(frameType.ping, frameFlag.ack, 0, Buffer.alloc(8))],
    ["PRIORITY", frame(frameType.priority, 0, 1, Buffer.concat([word(0), Buffer.of(0)]))],
    ["unknown frames", frame(0x0b, 0, 0, Buffer.alloc(20))],
    ["empty DATA", frame(frameType.data, 0, 1)],
    ["WINDOW_UPDATE", frame(frameType.windowUpdate, 0, 0, word(1))],
  ];
  test.each(many)("20,000 x %s", (_name, bytes) => {
    const peer = new EnginePeer(true, applicationLimits).hello();
    peer.send(peer.headers(1));
    for (let count = 0; count < 20_000; count++) {
      peer.send(bytes);
      if (count % 100 === 0) peer.frames();
    }
    expect(peer.connection.dead).toBe(false);
  });

  test("5000 requests that are reset at once, and 5000 that are malformed", () => {
    const peer = new EnginePeer(true, applicationLimits).hello();
    for (let call = 0; call < 5000; call++) {
      const id = 4 * call + 1;
      peer.send(peer.headers(id), reset(id));
      peer.send(peer.headers(id + 2), frame(frameType.windowUpdate, 0, id + 2, word(0)));
      peer.frames();
    }
    expect(peer.connection.dead).toBe(false);
    expect(peer.connection.streams.count).toBe(0);
  });

  test.each([
    ["an application", applicationLimits],
    ["a peer proxy", {}],
  ] as const)("2000 answers of %s that are malformed end their streams alone", (_name, limits) => {
    const peer = new EnginePeer(false, limits).hello();
    for (let call = 0; call < 2000; call++) {
      const id = 2 * call + 1;
      peer.connection.open(new Heard())?.sendFields(null, blockOf(goodRequest), null, false);
      peer.send(peer.headers(id, [...goodResponse, ["bad\tname", "x"]]));
      expect(peer.resetCode(id)).toBe(errorCode.protocolError);
    }
    expect(peer.connection.dead).toBe(false);
  });
});
