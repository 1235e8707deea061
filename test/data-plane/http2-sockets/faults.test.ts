/** A fault of our own in what an owner does ends the connection it happened on, and nothing else. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "@jest/globals";
import type { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { defaultLimits } from "../../../data-plane/http2/limits.js";
import { BlockPool } from "../../../data-plane/http2/output.js";
import { errorCode, frameType } from "../../../data-plane/http2/protocol.js";
import { EngineCounters } from "../../../data-plane/http2/refusals.js";
import { nobody, type Stream, type StreamSink } from "../../../data-plane/http2/stream.js";
import { EngineLoop } from "../../../data-plane/http2-sockets/engine-loop.js";
import { type ConnectionOwner, SocketConnection } from "../../../data-plane/http2-sockets/socket-connection.js";
import { until } from "../../support/until.js";
import { block, frame, headers, parseFrames, preface, requestBlock, settings } from "../../support/wire.js";
import { blockOf, goodRequest } from "../http2/engine-peer.js";

const fault = (): never => {
  throw new Error("a fault of our own");
};
const nothing = Buffer.alloc(0);
const ok = blockOf([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);
const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

interface Rig {
  readonly port: number;
  readonly faults: unknown[];
  readonly counters: EngineCounters;
  readonly loop: EngineLoop;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function startServer(owner: Partial<ConnectionOwner>): Promise<Rig> {
  const loop = new EngineLoop(() => performance.now());
  stops.push(() => loop.stop());
  const faults: unknown[] = [];
  const counters = new EngineCounters();
  const whole: ConnectionOwner = { onRequest: fault, onCapacity() {}, onClosed() {}, ...owner };
  const deps = { loop, counters, pool: new BlockPool(), onFault: (error: unknown) => faults.push(error) };
  const port = await listen(
    createServer((socket) => {
      new SocketConnection(socket, true, defaultLimits, whole, deps);
    }),
  );
  return { port, faults, counters, loop };
}

/** What a raw client is told from the first GOAWAY on, once the connection is closed. */
function talk(port: number, ...bytes: readonly Buffer[]): { socket: Socket; heard: Buffer[]; closed: () => boolean } {
  const socket = connect(port, "127.0.0.1");
  const heard: Buffer[] = [];
  let closed = false;
  socket.on("error", () => {});
  socket.on("data", (chunk) => heard.push(chunk));
  socket.on("close", () => {
    closed = true;
  });
  socket.write(Buffer.concat([preface, settings(), frame(frameType.settings, 1, 0, nothing), ...bytes]));
  stops.push(() => socket.destroy());
  return { socket, heard, closed: () => closed };
}

const goawayOf = (heard: readonly Buffer[]): number | undefined =>
  parseFrames(Buffer.concat(heard))
    .find(({ type }) => type === frameType.goaway)
    ?.payload.readUInt32BE(4);

/** A server whose owner answers, and throws where `sink` says. */
const answering = (sink: Partial<StreamSink>) => ({
  onRequest(stream: Stream, _fields: FieldBlock): void {
    stream.sink = { ...nobody, ...sink };
    stream.sendFields(null, ok, null, false);
    stream.sendData(Buffer.alloc(100_000), 0, 100_000, false);
  },
});

const request = headers(1, requestBlock({}));
const wider = Buffer.concat([
  frame(frameType.windowUpdate, 0, 1, Buffer.of(0, 1, 0, 0)),
  frame(frameType.windowUpdate, 0, 0, Buffer.of(0, 1, 0, 0)),
]);

describe("an exception in an owner's callback ends that connection with INTERNAL_ERROR, is told and counted", () => {
  const cases: ReadonlyArray<readonly [string, Partial<ConnectionOwner>, readonly Buffer[]]> = [
    ["onRequest", {}, [request]],
    ["onData", answering({ onData: fault }), [request, frame(frameType.data, 0, 1, Buffer.alloc(5))]],
    ["onData at the end", answering({ onData: fault }), [request, frame(frameType.data, 1, 1, nothing)]],
    [
      "onTrailers",
      answering({ onTrailers: fault }),
      [request, headers(1, block([["x-trailer", "y"]]), { endStream: true })],
    ],
    ["onTaken", answering({ onTaken: fault }), [request, wider]],
    ["onReset by the peer", answering({ onReset: fault }), [request, frame(3, 0, 1, Buffer.of(0, 0, 0, 8))]],
    ["onReset by us", answering({ onReset: fault }), [request, frame(8, 0, 1, Buffer.alloc(4))]],
  ];
  test.each(cases)("%s", async (_name, owner, bytes) => {
    const { port, faults, counters, loop } = await startServer(owner);
    const other = talk(port);
    await until("the other is greeted", () => other.heard.length > 0);
    const { heard, closed } = talk(port, ...bytes);
    await until("it is closed", closed);
    expect(goawayOf(heard)).toBe(errorCode.internalError);
    expect(String(faults[0])).toContain("a fault of our own");
    expect(counters.refused("internal")).toBeGreaterThan(0);
    await until("the server has let go of it", () => loop.connections.size === 1);
    expect(other.closed()).toBe(false);
  });

  test("every stream of the connection is told, though the first one's owner throws", async () => {
    let told = 0;
    const { port, faults } = await startServer({
      onRequest(stream) {
        stream.sink = {
          ...nobody,
          onData: fault,
          onReset() {
            told++;
            fault();
          },
        };
      },
    });
    const { closed } = talk(port, request, headers(3, requestBlock({})), frame(0, 0, 1, Buffer.alloc(5)));
    await until("it is closed", closed);
    expect(told).toBe(2);
    expect(faults.length).toBe(3);
  });

  test("onClosed, when the peer goes away", async () => {
    const { port, faults, loop } = await startServer({ onClosed: fault });
    const { socket, heard } = talk(port);
    await until("it is greeted", () => heard.length > 0);
    socket.destroy();
    await until("it is told", () => faults.length === 1);
    expect(loop.connections.size).toBe(0);
  });

  test("a client's: onResponse, onData and onCapacity", async () => {
    const server = await startServer(answering({}));
    const loop = new EngineLoop(() => performance.now());
    stops.push(() => loop.stop());
    for (const sink of [{ onResponse: fault }, { onData: fault }, undefined]) {
      const faults: unknown[] = [];
      let closed = false;
      const owner: ConnectionOwner = {
        onRequest: fault,
        onCapacity(connection) {
          if (sink === undefined) fault();
          if (!connection.canOpen) return;
          const stream = connection.open({ ...nobody, ...sink });
          stream?.sendFields(null, blockOf(goodRequest), null, true);
        },
        onClosed() {
          closed = true;
        },
      };
      const deps = { loop, counters: new EngineCounters(), pool: new BlockPool() };
      const socket = connect(server.port, "127.0.0.1");
      await new Promise<void>((resolve) => socket.once("connect", resolve));
      new SocketConnection(socket, false, defaultLimits, owner, {
        ...deps,
        onFault: (error: unknown) => faults.push(error),
      });
      await until("it is closed", () => closed);
      expect(faults.length).toBeGreaterThan(0);
      expect(deps.counters.refused("internal")).toBeGreaterThan(0);
    }
  });
});
