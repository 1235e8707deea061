/** Streams whose bytes nobody takes hold up no other stream, however many they are. */
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import { defaultLimits } from "../../../data-plane/http2/limits.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { nobody } from "../../../data-plane/http2/stream.js";
import { type ConnectionOwner, SocketConnection } from "../../../data-plane/http2-sockets/socket-connection.js";
import { connectionWindowBytes } from "../../../data-plane/proxy/forward/connection-window.js";
import { createProxyEngine } from "../../../data-plane/proxy/forward/proxy-engine.js";
import { systemClock } from "../../../runtime/clock.js";
import type { ByteClient, ByteHandlers } from "../../support/byte-service.js";
import { eventually, ProxyPair, poolOptions, type TestSide } from "../../support/proxy-pair.js";

const streamWindowBytes = 65_535;
/** 4 MB of windows: four times what a connection had before. */
const stuckCalls = 60;
const mebibyte = 1 << 20;
let pair: ProxyPair;
let begun = 0;
/** Uploads are never read; downloads never end. */
const handlers: ByteHandlers = {
  Unary: (call, respond) => respond(null, call.request),
  ClientStream: (call) => {
    begun += 1;
    call.pause();
  },
  ServerStream: (call) => {
    begun += 1;
    const part = Buffer.alloc(16_000);
    for (let sent = 0; sent < 40; sent++) call.write(part);
  },
};
afterEach(() => {
  pair?.stop();
  begun = 0;
});

/** Bytes that wait in a proxy for whoever is to take them. */
function waitingIn(side: TestSide): number {
  let bytes = 0;
  for (const { connection } of side.engine.loop.connections) bytes += connection.sender.waitingBytes;
  return bytes;
}

function upload(client: ByteClient): void {
  const call = client.clientStream(() => {});
  call.on("error", () => {});
  for (let sent = 0; sent < 40; sent++) call.write(Buffer.alloc(16_000));
}

function download(client: ByteClient): void {
  const call = client.serverStream(Buffer.alloc(0));
  call.on("error", () => {});
  call.pause();
}

/** The codes of 100 calls of 1 kB on the same connections, in four turns; undefined: served. */
async function bystanders(client: ByteClient): Promise<Set<number | undefined>> {
  const codes = new Set<number | undefined>();
  for (let turn = 0; turn < 4; turn++) {
    const calls = Array.from({ length: 25 }, () =>
      client.unary(Buffer.alloc(1000), undefined, { deadline: Date.now() + 20_000 }),
    );
    for (const { error } of await Promise.all(calls)) codes.add(error?.code);
  }
  return codes;
}

describe("calls of others on the same connections all succeed", () => {
  for (const [what, begin] of [
    ["uploads that the application does not read", upload],
    ["answers that the caller does not read", download],
  ] as const) {
    test(`beside ${stuckCalls} ${what}`, async () => {
      pair = await ProxyPair.start(handlers);
      const stuck = pair.client();
      for (let call = 0; call < stuckCalls; call++) begin(stuck);
      await eventually("all are stuck", () => begun === stuckCalls && waitingIn(pair.callee) > 2 * mebibyte, 20_000);
      expect(await bystanders(begin === upload ? stuck : pair.client())).toEqual(new Set([undefined]));
      for (const { engine } of [pair.caller, pair.callee]) {
        // No more than both windows of each stream, and the blocks that they are kept in.
        expect(engine.budget.peakBytes).toBeLessThan(stuckCalls * 3 * streamWindowBytes);
        expect(engine.counters.refused("memory")).toBe(0);
      }
    }, 60_000);
  }

  test("and the process' budget bounds what the stuck ones hold: they end, the others go on", async () => {
    const bufferBytesMax = 2 * mebibyte;
    pair = await ProxyPair.start(handlers, { bufferBytesMax });
    const stuck = pair.client();
    for (let call = 0; call < stuckCalls; call++) upload(stuck);
    const { engine } = pair.callee;
    await eventually("some were ended", () => engine.counters.refused("memory") > 0, 20_000);
    const sides = [pair.caller, pair.callee];
    await eventually("there is room in both", () => !sides.some((side) => side.engine.budget.isTight), 20_000);
    // while what is left fills the budget once more, new calls are answered 14 or end with 8 (decision 0020); then all are served
    const endMs = performance.now() + 30_000;
    for (;;) {
      const codes = await bystanders(pair.client());
      expect([...codes].filter((code) => code !== undefined && code !== 14 && code !== 8)).toEqual([]);
      if (codes.size === 1 && codes.has(undefined)) break;
      expect(performance.now()).toBeLessThan(endMs);
      await eventually("there is room again", () => !sides.some((side) => side.engine.budget.isTight), 20_000);
    }
    for (const side of sides) expect(side.engine.budget.peakBytes).toBeLessThan(bufferBytesMax + mebibyte);
  }, 60_000);
});

describe("an application whose own connection window is used up by streams that it does not read", () => {
  const limits = { ...defaultLimits, concurrentStreamsMax: 1000, connectionWindowBytes: streamWindowBytes };
  const engine = createProxyEngine(
    () => systemClock.monotonicMs(),
    (error) => {
      throw error;
    },
  );
  const fields = (text: string): readonly PreparedField[] =>
    text.split(" ").map((pair) => new PreparedField(...(pair.split("=") as [string, string])));
  const [head, tail] = [fields(":status=200 content-type=application/grpc"), fields("grpc-status=0")];
  const empty = Buffer.alloc(5);
  let stuck = 0;
  /** Answers unary calls; of others nothing is ever taken, and the connection's window is not given back. */
  const owner: ConnectionOwner = {
    onRequest(stream, request) {
      const isUnary = Array.from({ length: request.count }, (_, place) => request.valueText(place)).includes(
        "/test.Bytes/Unary",
      );
      if (!isUnary) stuck += 1;
      stream.sink = {
        ...nobody,
        onData(_stream, _bytes, start, end, endStream) {
          if (!isUnary) return;
          stream.consumed(end - start);
          if (!endStream) return;
          stream.sendFields(head, null, null, false);
          stream.sendData(empty, 0, empty.length, false);
          stream.sendFields(tail, null, null, true);
        },
      };
    },
    onCapacity() {},
    onClosed() {},
  };

  test("gets calls on further connections, a bounded number of them", async () => {
    pair = await ProxyPair.start({});
    let connections = 0;
    const uploads = 2 * poolOptions.connectionsMaxPerTarget;
    const server = createServer((socket) => {
      connections += 1;
      new SocketConnection(socket, true, limits, owner, engine);
    });
    const path = join(pair.dir, "narrow.sock");
    await new Promise<void>((resolve) => server.listen(path, resolve));
    pair.callee.app.set({ instance: "narrow", target: { path } });
    const client = pair.client();
    for (let call = 0; call < uploads; call++) upload(client);
    await eventually("they are stuck", () => stuck === uploads, 20_000);
    expect(await bystanders(client)).toEqual(new Set([undefined]));
    expect(connections).toBeGreaterThan(1);
    expect(connections).toBeLessThanOrEqual(uploads + poolOptions.connectionsMaxPerTarget);
    server.close();
    engine.stop();
  }, 60_000);
});

test("a connection's window holds those of its streams, within the budget and what HTTP/2 allows", () => {
  const budget = (maxBytes: number) => ({ maxBytes }) as Parameters<typeof connectionWindowBytes>[1];
  expect(connectionWindowBytes(100, budget(256 * mebibyte))).toBe(100 * streamWindowBytes);
  expect(connectionWindowBytes(1000, budget(16 * mebibyte))).toBe(16 * mebibyte);
  expect(connectionWindowBytes(1000, budget(1000))).toBe(mebibyte);
  expect(connectionWindowBytes(1_000_000, budget(Number.POSITIVE_INFINITY))).toBe(2 ** 31 - 1);
});
