/** Answers that are complete before the request is, to clients that speak HTTP/2 and no gRPC. */
import { afterEach, expect, jest, test } from "@jest/globals";
import { parseSpiffeId } from "../../../core/identity.js";
import { Http2Exchange } from "../../../data-plane/edge/web/http2-exchange.js";
import { errorCode, frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { frame } from "../../support/wire.js";
import { blockOf, EnginePeer } from "../http2/engine-peer.js";

afterEach(() => void jest.useRealTimers());

/** A client whose every request is answered at once with a text, or with no body at all. */
function client(text: string, ...more: readonly (readonly [string, string])[]) {
  jest.useFakeTimers();
  const peer = new EnginePeer(true, {
    requestRules: { grpcOnly: false, scheme: undefined, refuseUnderscore: false },
  }).hello();
  const fields = [
    ...([
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/shop.Payments/Charge"],
    ] as const),
    ...([
      [":authority", "shop.example"],
      ["content-type", "application/grpc-web"],
    ] as const),
    ...more,
  ];
  peer.answer = (stream) => {
    const exchange = new Http2Exchange(stream, blockOf(fields), "shop.example", {
      ...{ spiffeId: parseSpiffeId("spiffe://test/gateway/public"), notAfterMs: 0, sourceAddress: "127.0.0.1" },
    });
    if (text === "") exchange.refuse(404);
    else exchange.answer(200, [], Buffer.from(text));
  };
  peer.send(peer.headers(1, fields));
  return peer;
}

/** Type and whether the stream ends, of each frame of stream 1. */
const told = (peer: EnginePeer): string[] =>
  peer
    .frames()
    .filter(({ streamId }) => streamId === 1)
    .map(({ type, flags, payload }) =>
      type === frameType.resetStream
        ? `reset ${payload.readUInt32BE(0)}`
        : `${type === frameType.data ? "data" : "headers"}${flags & frameFlag.endStream ? " end" : ""}`,
    );

for (const text of ["", "refused"]) {
  const body = text === "" ? [] : ["data"];

  test(`the end of an early answer waits for a short body (answer ${JSON.stringify(text)})`, () => {
    const peer = client(text, ["content-length", "9"]);
    expect(told(peer)).toEqual(["headers", ...body]);
    peer.send(peer.data(1, Buffer.alloc(4)));
    expect(told(peer)).toEqual([]);
    peer.send(peer.data(1, Buffer.alloc(5), true));
    expect(told(peer)).toEqual(["data end"]);
    jest.runAllTimers();
    expect([peer.frames(), peer.connection.streams.count]).toEqual([[], 0]);
  });

  test(`a body that does not come is waited for 5 s (answer ${JSON.stringify(text)})`, () => {
    const peer = client(text, ["content-length", "9"]);
    jest.advanceTimersByTime(4_999);
    expect(told(peer)).toEqual(["headers", ...body]);
    jest.advanceTimersByTime(1);
    expect(told(peer)).toEqual(["data end", `reset ${errorCode.noError}`]);
  });

  for (const [why, field] of [
    ["is of unknown length", []],
    ["is longer than the window", [["content-length", "65536"]]],
    [
      "is sent after a 100 (Continue) only",
      [
        ["content-length", "9"],
        ["expect", "100-continue"],
      ],
    ],
  ] as const)
    test(`a body that ${why} is not waited for (answer ${JSON.stringify(text)})`, () => {
      const ends = text === "" ? ["headers end"] : ["headers", "data end"];
      expect(told(client(text, ...field))).toEqual([...ends, `reset ${errorCode.noError}`]);
    });
}

test("a client that resets while its body is waited for is told nothing more", () => {
  const peer = client("refused", ["content-length", "9"]);
  peer.frames();
  peer.send(frame(frameType.resetStream, 0, 1, Buffer.from([0, 0, 0, 8])));
  jest.runAllTimers();
  expect(told(peer)).toEqual([]);
});
