/** Check 40: what a proxy does when it, or what it is asked to hold, is too much. */
import { constants, createSecureServer, type Http2SecureServer } from "node:http2";
import { connect } from "node:net";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "@jest/globals";
import { DestinationBudget, defaultRetryBudget } from "../../../core/balance/retry-budget.js";
import { AshlarError } from "../../../core/errors.js";
import { MemoryBudget } from "../../../data-plane/http2/memory-budget.js";
import { isApplicationGone } from "../../../data-plane/proxy/dial.js";
import { Overload, overloadDefaults } from "../../../data-plane/proxy/overload.js";
import type { ByteHandlers } from "../../support/byte-service.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { RawClient } from "../../support/raw-http2.js";
import { frame, headers, parseFrames, preface, requestBlock } from "../../support/wire.js";

const mebibyte = 1 << 20;
let pair: ProxyPair;
let served = 0;
const bytes: ByteHandlers = {
  Unary: (call, respond) => {
    served += 1;
    respond(null, call.request);
  },
  ServerStream: (call) => {
    const [count = 0, size = 0] = call.request.toString().split(",").map(Number);
    for (let i = 0; i < count; i++) call.write(Buffer.alloc(size));
    call.end();
  },
};
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
  pair?.stop();
  served = 0;
});

const outSocket = (): string => join(pair.dir, "out.sock");

async function raw(headers: Record<string, string>): Promise<Record<string, string>> {
  const client = RawClient.unix(outSocket());
  const { headers: head, trailers } = await client.send({ ":scheme": "http", ...headers });
  client.close();
  return { ...head, ...trailers } as Record<string, string>;
}

describe("the memory budget", () => {
  test("I8: callers that take nothing never make it hold more; the slowest are ended with 8, others are served", async () => {
    const bufferBytesMax = 2 * mebibyte;
    pair = await ProxyPair.start(bytes, { bufferBytesMax });
    const socket = connect({ path: outSocket() });
    closers.push(() => socket.destroy());
    const heard: Buffer[] = [];
    socket.on("error", () => {});
    socket.on("data", (chunk) => heard.push(chunk));
    const windowZero = frame(0x4, 0, 0, Buffer.of(0, 4, 0, 0, 0, 0));
    const request = Buffer.from("40,10000");
    const message = Buffer.concat([Buffer.of(0, 0, 0, 0, request.length), request]);
    socket.write(Buffer.concat([preface, windowZero, frame(0x4, 1, 0, Buffer.alloc(0))]));
    const calls = Array.from({ length: 60 }, (_, place) => 2 * place + 1);
    for (const id of calls) {
      const fields = requestBlock({ ":path": "/test.Bytes/ServerStream", ":authority": "bytes" });
      socket.write(Buffer.concat([headers(id, fields), frame(0, 1, id, message)]));
    }
    const { engine } = pair.caller;
    const resets = () => parseFrames(whole(heard)).filter(({ type }) => type === 0x3);
    await eventually("streams are ended", () => resets().length > 5);
    expect(new Set(resets().map(({ payload }) => payload.readUInt32BE(0)))).toEqual(
      new Set([constants.NGHTTP2_ENHANCE_YOUR_CALM]),
    );
    // The first to stall are the first to go.
    expect(Math.min(...resets().map(({ streamId }) => streamId))).toBeLessThan(41);
    await eventually("there is room", () => !engine.budget.isTight);
    // What one turn of the event loop reads comes on top.
    expect(engine.budget.peakBytes).toBeLessThan(bufferBytesMax + mebibyte / 2);
    // What was counted a moment ago may still be on its way to the caller.
    await eventually("every reset is heard", () => engine.counters.refused("memory") === resets().length);
    for (const { connection } of engine.loop.connections)
      for (const stream of connection.streams.all()) expect(stream.waitingBytes).toBeLessThanOrEqual(65_535);
    expect((await raw({}))["grpc-status"]).toBe("0");
    socket.destroy();
    await eventually("everything is given back", () => engine.budget.usedBytes === 0);
    expect(pair.caller.faults).toEqual([]);
  });

  test("I8: who fills it with open calls and long headers loses calls of his own, and nobody else does", async () => {
    pair = await ProxyPair.start(
      {
        Unary: () => {},
        ServerStream: bytes.ServerStream as never,
        Bidi: (call) => void call.on("data", (part) => call.write(part)),
      },
      {
        bufferBytesMax: 2 * mebibyte,
      },
    );
    const honest = pair.client().bidi();
    const echoes: Buffer[] = [];
    let lost = false;
    honest.on("data", (part: Buffer) => echoes.push(part));
    honest.on("error", () => {
      lost = true;
    });
    honest.write(Buffer.from("before"));
    await eventually("the honest call is open", () => echoes.length === 1);
    const slow = connect({ path: outSocket() });
    closers.push(() => slow.destroy());
    const heard: Buffer[] = [];
    slow.on("data", (chunk) => heard.push(chunk));
    slow.on("error", () => {});
    const asks = Buffer.from("6,10000");
    const message = Buffer.concat([Buffer.of(0, 0, 0, 0, asks.length), asks]);
    slow.write(
      Buffer.concat([preface, frame(0x4, 0, 0, Buffer.of(0, 4, 0, 0, 0, 0)), frame(0x4, 1, 0, Buffer.alloc(0))]),
    );
    const wanted = requestBlock({ ":path": "/test.Bytes/ServerStream", ":authority": "bytes" });
    slow.write(Buffer.concat([headers(1, wanted), frame(0, 1, 1, message)]));
    const waiting = () =>
      [...pair.caller.engine.loop.connections].reduce((sum, { connection }) => sum + connection.sender.waitingBytes, 0);
    await eventually("a slow call's answer waits", () => waiting() > 50_000);
    const socket = connect({ path: outSocket() });
    closers.push(() => socket.destroy());
    socket.on("error", () => {});
    socket.resume();
    socket.write(Buffer.concat([preface, frame(0x4, 0, 0, Buffer.alloc(0)), frame(0x4, 1, 0, Buffer.alloc(0))]));
    const { caller, callee } = pair;
    for (let call = 0; call < 500; call++) {
      const fields = requestBlock({ ":authority": "bytes", "x-long": "y".repeat(12_000) });
      socket.write(headers(2 * call + 1, fields));
      if (call % 20 === 19) await new Promise((resolve) => setImmediate(resolve));
    }
    const reaped = () => caller.engine.counters.refused("memory") + callee.engine.counters.refused("memory");
    await eventually("calls are ended", () => reaped() > 100);
    for (const { engine } of [caller, callee]) {
      expect(engine.budget.peakBytes).toBeLessThan(3 * mebibyte);
      await eventually("there is room", () => !engine.budget.isFull);
    }
    honest.write(Buffer.from("after"));
    await eventually("the honest call goes on", () => echoes.length === 2);
    expect(lost).toBe(false);
    // 8 from the peer, or the reset that gRPC reads as 8; 14 while it was full.
    const codes = new Set(caller.metrics.ended.map(({ code }) => code));
    expect(
      [...codes].filter((code) => ![status.RESOURCE_EXHAUSTED, status.UNAVAILABLE, status.CANCELLED].includes(code)),
    ).toEqual([]);
    expect(waiting()).toBeGreaterThan(50_000); // who only takes slowly is not to blame
    expect(parseFrames(whole(heard)).filter(({ type }) => type === 0x3)).toEqual([]);
    honest.cancel();
    socket.destroy();
    slow.destroy();
    await eventually("everything is given back", () => caller.engine.budget.usedBytes === 0);
  });

  test("what calls hold while they are open is given back when they end", async () => {
    pair = await ProxyPair.start(bytes);
    const client = pair.client();
    await Promise.all(Array.from({ length: 50 }, () => client.unary(Buffer.alloc(30_000))));
    for (const { engine } of [pair.caller, pair.callee]) {
      expect(engine.budget.peakBytes).toBeGreaterThan(0);
      await eventually("nothing is held", () => engine.budget.usedBytes === 0 && engine.budget.replayBytes === 0);
    }
  });

  test("copies for a retry take a quarter of it at most", () => {
    const budget = new MemoryBudget(1000);
    expect([budget.takeReplay(250), budget.takeReplay(1)]).toEqual([true, false]);
    budget.giveReplay(250);
    budget.take(1000);
    expect([budget.isFull, budget.takeReplay(1)]).toEqual([true, false]);
  });
});

describe("message limit", () => {
  test("a message that says it is too long is answered with 8, and no byte of it goes on; one that is not passes", async () => {
    pair = await ProxyPair.start(bytes, { messageBytesMax: mebibyte });
    const client = pair.client();
    const { error } = await client.unary(Buffer.alloc(mebibyte + 1));
    expect(error?.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(error?.details).toContain("longer than 1048576 bytes");
    expect(served).toBe(0);
    expect((await client.unary(Buffer.alloc(mebibyte))).error).toBeUndefined();
  });

  test("an answer that is too long is 8, too", async () => {
    pair = await ProxyPair.start(bytes, { messageBytesMax: mebibyte });
    const call = pair.client().serverStream(Buffer.from(`1,${mebibyte + 1}`));
    call.resume();
    const error = await new Promise<{ code: number }>((resolve) => call.on("error", resolve as never));
    expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
  });
});

describe("an overloaded process", () => {
  test("a heap at 95 % refuses calls with 14 and pushback, and connections; below, it serves again", async () => {
    pair = await ProxyPair.start(bytes);
    const { heap, engine, metrics } = pair.callee;
    const client = pair.client();
    expect((await client.unary(Buffer.from("x"))).error).toBeUndefined();
    heap.usedBytes = 95;
    await eventually("it is seen", () => engine.overload.cause === "heap");
    const { error } = await client.unary(Buffer.from("x"));
    expect(error?.code).toBe(status.UNAVAILABLE);
    await eventually("it is counted", () => engine.overload.refused("heap") > 0);
    heap.usedBytes = 50;
    await eventually("it is over", () => engine.overload.cause === undefined);
    await eventuallyServed(client);
    expect(metrics.open).toBe(0);
  });

  test("the caller's own proxy says when to come again", async () => {
    pair = await ProxyPair.start(bytes);
    const client = RawClient.unix(outSocket());
    closers.push(() => client.close());
    expect((await client.send({ ":scheme": "http" })).headers[":status"]).toBe(200);
    pair.caller.heap.usedBytes = 99;
    await eventually("it is seen", () => pair.caller.engine.overload.cause === "heap");
    const { headers } = await client.send({ ":scheme": "http" });
    expect(headers["grpc-status"]).toBe("14");
    expect(headers["grpc-retry-pushback-ms"]).toBe("1000");
    expect(headers["grpc-message"]).toContain("overloaded");
  });

  test("a heap at 92 % asks for connections to go elsewhere, once in ten seconds; a late event loop refuses calls", () => {
    const heap = { usedBytes: 91, limitBytes: 100 };
    const overload = new Overload(new MemoryBudget(), () => heap, 0);
    let drains = 0;
    overload.onDrain(() => drains++);
    const { pollMs, lagMsMax } = overloadDefaults;
    let nowMs = 0;
    const poll = (lateMs = 0): void => {
      nowMs += pollMs + lateMs;
      overload.poll(nowMs);
    };
    poll();
    expect([drains, overload.cause]).toEqual([0, undefined]);
    heap.usedBytes = 92;
    poll();
    poll();
    expect([drains, overload.cause]).toEqual([1, undefined]);
    poll(10_000);
    expect([drains, overload.refuses(nowMs)]).toEqual([2, "event-loop"]);
    poll(lagMsMax);
    expect(overload.cause).toBeUndefined();
    expect(overload.refused("event-loop")).toBe(1);
  });

  test("calls that are read after a standstill, before the next look, are refused too", () => {
    const overload = new Overload(new MemoryBudget(), () => ({ usedBytes: 1, limitBytes: 100 }), 0);
    const { pollMs, lagMsMax } = overloadDefaults;
    expect(overload.refuses(pollMs + lagMsMax)).toBeUndefined();
    expect(overload.refuses(pollMs + lagMsMax + 1)).toBe("event-loop");
    overload.poll(3000);
    expect(overload.refuses(3001)).toBe("event-loop");
    overload.poll(3000 + pollMs);
    expect(overload.refuses(3001 + pollMs)).toBeUndefined();
  });
});

async function eventuallyServed(client: ReturnType<ProxyPair["client"]>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const { error } = await client.unary(Buffer.from("x"));
    if (error === undefined) return;
    if (attempt > 50) throw error;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("deadlines and retries", () => {
  test("a deadline that is over when the call comes is answered with 4; nobody is dialled", async () => {
    pair = await ProxyPair.start(bytes);
    expect((await raw({ "grpc-timeout": "0m" }))["grpc-status"]).toBe("4");
    expect(pair.caller.pool.loadOf(`bytes ${pair.address}`)).toBe(0);
    expect(pair.caller.engine.loop.connections.size).toBeLessThan(2);
    expect(served).toBe(0);
  });

  test("the deadline runs while policy or endpoints are still looked for", async () => {
    pair = await ProxyPair.start(bytes);
    pair.caller.policy.useService = () => new Promise(() => {});
    pair.caller.endpoints.ready = () => new Promise(() => {});
    expect((await raw({ "grpc-timeout": "200m" }))["grpc-status"]).toBe("4");
  });

  test("retries are a fifth of the calls and ten a second", () => {
    const budget = new DestinationBudget(defaultRetryBudget, 0);
    let retries = 0;
    for (let call = 0; call < 1000; call++) {
      budget.earn(0);
      for (let again = 0; again < 2; again++) if (budget.take(0)) retries++;
    }
    expect([210, 209]).toContain(retries); // a fifth is no exact number of the machine's
    expect(budget.refused).toBe(2000 - retries);
    expect(budget.take(1000)).toBe(true);
    const after = new DestinationBudget(defaultRetryBudget, 0);
    for (let call = 0; call < 1000; call++) after.earn(0);
    for (let again = 0; again < 1000; again++) after.take(3_600_000);
    expect(after.refused).toBe(990);
  });

  test("the only endpoint is asked again when it refused a call, and it is not said that there is none", async () => {
    pair = await ProxyPair.start(bytes);
    for (const refusals of [2, 10]) {
      let streams = 0;
      const address = await refusing((stream) => {
        if (streams++ < refusals) stream.close(constants.NGHTTP2_REFUSED_STREAM);
        else
          stream.respond(
            { ":status": 200, "content-type": "application/grpc", "grpc-status": "0" },
            { endStream: true },
          );
      });
      pair.caller.endpoints.all.length = 0;
      pair.caller.endpoints.add("bytes", address);
      const answer = await raw({});
      expect(streams).toBe(3);
      expect(answer["grpc-status"]).toBe(refusals === 2 ? "0" : "14");
      if (refusals > 2) expect(answer["grpc-message"]).toBe("the upstream refused the call");
    }
  });

  /** A peer proxy's place, taken by a server that does with streams what it is told. */
  async function refusing(act: (stream: import("node:http2").ServerHttp2Stream) => void): Promise<string> {
    const { certificateChainPem, privateKeyPem } = pair.callee.identity.current;
    const server: Http2SecureServer = createSecureServer({
      cert: certificateChainPem,
      key: privateKeyPem,
      ca: pair.pki.rootPem,
      requestCert: true,
    });
    server.on("stream", (stream) => {
      stream.on("error", () => {});
      stream.resume();
      act(stream);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(() => server.close());
    const address = server.address();
    return `127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  }

  test("only a refused or missing socket means that the application is gone", () => {
    const failed = (code: string) =>
      new AshlarError("unavailable", "", { cause: Object.assign(new Error(code), { code }) });
    expect(["ECONNREFUSED", "ENOENT"].map((code) => isApplicationGone(failed(code)))).toEqual([true, true]);
    expect(["EMFILE", "EAGAIN", "ETIMEDOUT", "ECONNRESET"].some((code) => isApplicationGone(failed(code)))).toBe(false);
    expect(isApplicationGone(new AshlarError("unavailable", "no answer within 5 s"))).toBe(false);
  });
});

test("check 39: a handshake that does not go on holds up no drain", async () => {
  pair = await ProxyPair.start(bytes);
  const [host = "", port] = pair.address.split(":");
  const socket = connect(Number(port), host);
  closers.push(() => socket.destroy());
  let closed = false;
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  await pair.inbound.drain();
  pair.inbound.close();
  await eventually("it is closed", () => closed);
});

/** Frames that have come whole. */
function whole(heard: readonly Buffer[]): Buffer {
  const all = Buffer.concat(heard);
  let at = 0;
  while (at + 9 <= all.length && at + 9 + all.readUIntBE(at, 3) <= all.length) at += 9 + all.readUIntBE(at, 3);
  return all.subarray(0, at);
}
