/** Applications that take few streams at once, or end their connections in order: calls wait, and none is lost. */
import { constants, createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

const grpc = { ":status": 200, "content-type": "application/grpc" };
const empty = Buffer.from([0, 0, 0, 0, 0]);
let pair: ProxyPair;
let server: Http2Server | undefined;
const sessions: ServerHttp2Session[] = [];
const streams: ServerHttp2Stream[] = [];

beforeEach(async () => {
  pair = await ProxyPair.start({});
});
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
  streams.length = 0;
  server?.close();
  pair.stop();
});

/** An application that takes so many streams a connection. */
async function serve(maxConcurrentStreams: number, onStream = (_stream: ServerHttp2Stream): void => {}): Promise<void> {
  server = createServer({ settings: { maxConcurrentStreams } });
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
  });
  server.on("stream", (stream) => {
    streams.push(stream);
    stream.on("error", () => {}).resume();
    onStream(stream);
  });
  const path = join(pair.dir, "few.sock");
  await new Promise<void>((resolve) => server?.listen(path, resolve));
  pair.callee.app.set({ instance: "few", target: { path } });
}

function answer(stream: ServerHttp2Stream): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond(grpc, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(empty);
}

const call = (deadlineMs = 30_000) =>
  pair.client().unary(Buffer.alloc(100), undefined, { deadline: Date.now() + deadlineMs });

/** How many of `count` calls ended with which code; undefined: served. */
async function codesOf(calls: readonly Promise<{ error: { code: number } | undefined }>[]) {
  const codes = new Map<number | undefined, number>();
  for (const { error } of await Promise.all(calls)) codes.set(error?.code, (codes.get(error?.code) ?? 0) + 1);
  return codes;
}

describe("an application that takes 4 streams a connection", () => {
  test("serves 300 calls of 100 callers: they wait for a stream, none gets 14", async () => {
    await serve(4, (stream) => setImmediate(() => answer(stream)));
    const codes = new Map<number | undefined, number>();
    for (let turn = 0; turn < 3; turn++) {
      for (const [code, count] of await codesOf(Array.from({ length: 100 }, () => call())))
        codes.set(code, (codes.get(code) ?? 0) + count);
    }
    expect(codes).toEqual(new Map([[undefined, 300]]));
    expect(pair.callee.engine.waits.waited).toBeGreaterThan(0);
    expect(pair.callee.engine.waits.waiting).toBe(0);
  }, 60_000);

  test("and holds them: a call waits until its deadline and no longer, and one that is cancelled leaves", async () => {
    await serve(1);
    const connections = 8; // of the pool
    const held = Array.from({ length: connections }, () => call());
    await eventually("every stream is taken", () => streams.length === connections, 20_000);
    const late = call(300);
    const cancelled = pair.client().bidi();
    cancelled.on("error", () => {});
    cancelled.write(Buffer.alloc(10));
    const patient = call();
    const { waits } = pair.callee.engine;
    await eventually("all three wait", () => waits.waited >= 3 && waits.waiting >= 2, 20_000);
    expect((await late).error?.code).toBe(status.DEADLINE_EXCEEDED);
    cancelled.cancel();
    await eventually("one waits", () => waits.waiting === 1);
    for (const stream of streams) answer(stream);
    await eventually("it has its stream", () => streams.length === connections + 1);
    expect(waits.waiting).toBe(0);
    answer(streams[connections] as ServerHttp2Stream);
    expect(await codesOf([...held, patient])).toEqual(new Map([[undefined, connections + 1]]));
  }, 60_000);

  test("takes more of them, fewer or none for a while as it says so while it runs", async () => {
    await serve(100, (stream) => setImmediate(() => answer(stream)));
    expect((await call()).error).toBeUndefined();
    const session = sessions[0] as ServerHttp2Session;
    const say = (maxConcurrentStreams: number) =>
      new Promise<void>((resolve) => session.settings({ maxConcurrentStreams }, () => resolve()));
    await say(2);
    expect(await codesOf(Array.from({ length: 40 }, () => call()))).toEqual(new Map([[undefined, 40]]));
    if (server !== undefined) server.maxConnections = 1; // no further connection, and (unlike close) all that are open stay
    for (const other of sessions.slice(1)) other.close();
    await eventually("one connection is left", () => sessions.filter((one) => !one.closed).length === 1, 20_000);
    await say(0);
    const { waits } = pair.callee.engine;
    const waiting = Array.from({ length: 10 }, () => call());
    await eventually("all wait", () => waits.waiting === 10, 20_000);
    await say(3);
    expect(await codesOf(waiting)).toEqual(new Map([[undefined, 10]]));
  }, 60_000);
});

describe("an application that ends its connections in order, with calls open on them", () => {
  test("has new calls on a fresh connection, 40 times in a row", async () => {
    await serve(100, (stream) => {
      if (stream.session !== undefined && streams.filter((one) => one.session === stream.session).length > 1)
        setImmediate(() => answer(stream));
    });
    for (let age = 1; age <= 40; age++) {
      const long = pair.client().bidi();
      long.on("error", () => {});
      long.write(Buffer.alloc(10));
      await eventually(`the long call ${age} is open`, () => pair.inbound.open.size === age, 20_000);
      await eventually("it is there", () => sessions.length === age, 20_000);
      expect((await call()).error).toBeUndefined();
      sessions.at(-1)?.goaway(constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
      const draining = () =>
        [...pair.callee.engine.loop.connections].filter(({ connection }) => connection.control.draining).length;
      await eventually("it is heard", () => draining() === age, 20_000);
    }
    expect(pair.inbound.open.size).toBe(40);
  }, 60_000);

  test("has calls that it did not take sent again on another, however many", async () => {
    await serve(100, (stream) => {
      if (stream.session !== sessions[0] || streams.length > 60) setImmediate(() => answer(stream));
      else if (streams.length === 60) {
        sessions[0]?.goaway(constants.NGHTTP2_NO_ERROR, 1); // only the first was taken
        answer(streams[0] as ServerHttp2Stream);
      }
    });
    expect(await codesOf(Array.from({ length: 60 }, () => call()))).toEqual(new Map([[undefined, 60]]));
    expect(pair.callee.engine.retries.refused).toBe(0);
  }, 60_000);
});
