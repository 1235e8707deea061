/** Header blocks that are long, or longer than somebody takes: each way, at either proxy, with settings that differ. */
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";
import { connect as connectNet } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import type { ProxyEngineOptions } from "../../../data-plane/proxy/forward/proxy-engine.js";
import { ProxyPair } from "../../support/proxy-pair.js";

const kib = 1024;
const wide = { maxHeaderListPairs: 5000, maxSendHeaderBlockLength: 1 << 20, settings: { maxHeaderListSize: 1 << 20 } };
let pair: ProxyPair;
const closers: (() => void)[] = [];

afterEach(() => {
  // I8: nothing of it counted against anybody, and no connection ended.
  for (const { engine, faults } of [pair.caller, pair.callee]) {
    expect([engine.counters.ownResets, faults]).toEqual([0, []]);
    for (const { connection } of engine.loop.connections) expect(connection.dead).toBe(false);
  }
  for (const close of closers.splice(0)) close();
  pair.stop();
});

type Speak = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

const ok: Speak = (stream) => answer(stream, {}, { "grpc-status": "0" });

function answer(stream: ServerHttp2Stream, headers: OutgoingHttpHeaders, trailers: OutgoingHttpHeaders): void {
  stream.on("error", () => {});
  stream.respond({ "content-type": "application/grpc", ...headers }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  stream.end(Buffer.from([0, 0, 0, 0, 0]));
}

/** Two proxies and an application that speaks; gives what it was sent. */
async function start(
  speak: Speak,
  caller: Partial<ProxyEngineOptions> = {},
  callee: Partial<ProxyEngineOptions> = caller,
  settings: Settings = wide.settings,
): Promise<IncomingHttpHeaders[]> {
  pair = await ProxyPair.start({}, caller, callee);
  const path = join(pair.dir, "wide.sock");
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer({ ...wide, settings }).listen(path);
  server.on("stream", (stream, headers) => {
    seen.push(headers);
    speak(stream, headers);
  });
  closers.push(() => server.close());
  pair.callee.app.set({ instance: "wide", target: { path } });
  return seen;
}

function client(settings: Settings = wide.settings): ClientHttp2Session {
  const socket = connectNet({ path: join(pair.dir, "out.sock") });
  const session = connect("http://raw", { ...wide, settings, createConnection: () => socket });
  session.on("error", () => {});
  closers.push(() => session.destroy());
  return session;
}

interface Outcome {
  readonly code: string;
  readonly message: string;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
}

function call(session: ClientHttp2Session, metadata: OutgoingHttpHeaders = {}): Promise<Outcome> {
  const stream = session.request({
    ":method": "POST",
    ":scheme": "http",
    ":path": "/test.Bytes/Unary",
    ":authority": "bytes",
    te: "trailers",
    "content-type": "application/grpc",
    ...metadata,
  });
  let [headers, trailers]: IncomingHttpHeaders[] = [{}, {}];
  stream.on("response", (fields) => {
    headers = fields;
  });
  stream.on("trailers", (fields) => {
    trailers = fields;
  });
  stream.on("error", () => {});
  stream.resume();
  stream.end(Buffer.from([0, 0, 0, 0, 0]));
  return new Promise((resolve) =>
    stream.on("close", () => {
      const all = { ...headers, ...trailers };
      resolve({
        code: all["grpc-status"]?.toString() ?? `reset ${stream.rstCode}`,
        message: decodeURIComponent(all["grpc-message"]?.toString() ?? ""),
        headers: headers as IncomingHttpHeaders,
        trailers: trailers as IncomingHttpHeaders,
      });
    }),
  );
}

const long = (bytes: number): string => "~".repeat(bytes);
/** So many fields of 45 bytes each, as they count. */
const many = (count: number): OutgoingHttpHeaders =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${1000 + at}`, "1234567"]));

describe("long header blocks", () => {
  test("40 KiB of metadata, headers and trailers pass; so do a thousand fields, through both proxies", async () => {
    const seen = await start((stream) => {
      const trailers = { "grpc-status": "0", "x-end": long(40 * kib) };
      answer(stream, { "x-begin": long(40 * kib) }, trailers);
    });
    const session = client();
    const { code, headers, trailers } = await call(session, { "x-long": long(40 * kib) });
    expect([code, headers["x-begin"], trailers["x-end"]]).toEqual(["0", long(40 * kib), long(40 * kib)]);
    expect(seen[0]?.["x-long"]).toBe(long(40 * kib));
    expect((await call(session, many(1018))).code).toBe("0"); // six are of every request
    expect(seen[1]).toMatchObject({ ...many(1018), "ashlar-caller": "spiffe://test/service/shop" });
  });

  test("what the first proxy just lets in passes the second, whatever the first adds", async () => {
    const seen = await start(ok, { headerBytesMax: 16 * kib });
    const labels = Array.from({ length: 32 }, (_, at) => ({
      key: `k${at}`.padEnd(63, "k"),
      value: long(63).replaceAll("~", "v"),
    }));
    const path = join(pair.dir, "labels.sock");
    await pair.caller.outbound(path, undefined, labels);
    const session = connect("http://raw", { ...wide, createConnection: () => connectNet({ path }) });
    closers.push(() => session.destroy());
    const fixed = [":method", "POST", ":scheme", "http", ":path", "/test.Bytes/Unary", ":authority", "bytes"];
    fixed.push("te", "trailers", "content-type", "application/grpc", "x-long");
    const bytes = 16 * kib - fixed.join("").length - 7 * 32;
    expect((await call(session, { "x-long": long(bytes) })).code).toBe("0");
    expect(seen[0]?.["x-long"]).toHaveLength(bytes);
    const { code, message } = await call(session, { "x-long": long(bytes + 1) });
    expect([code, message]).toEqual([
      "8",
      "the request's header fields are more than the proxy of the caller takes (16384 bytes in all, --header-kib)",
    ]);
    expect(seen).toHaveLength(1);
  });

  test.each([
    ["bytes", { "x-long": long(80 * kib) }],
    ["fields", many(1100)],
  ])("a request of too many %s is 8 with a reason; calls beside it go on", async (_what, metadata) => {
    const seen = await start(ok);
    const session = client();
    const [before, over, after] = await Promise.all([call(session), call(session, metadata), call(session)]);
    expect([before?.code, after?.code]).toEqual(["0", "0"]);
    expect([over?.code, over?.message]).toEqual([
      "8",
      expect.stringMatching(/request.*proxy of the caller.*65536 bytes/),
    ]);
    expect(over?.headers["ashlar-revision"]).toBe("1");
    expect(seen).toHaveLength(2);
  });

  test("an answer's headers that are too many are 8 with a reason", async () => {
    await start((stream) => answer(stream, { "x-long": long(80 * kib) }, { "grpc-status": "0" }));
    const { code, message } = await call(client());
    expect([code, message]).toEqual(["8", expect.stringMatching(/response.*called service takes \(65536 bytes/)]);
    expect(pair.callee.metrics.ended[0]).toMatchObject({ code: 8, reason: "header-limit" });
  });

  test.each(["first", "last"])(
    "a status that stands %s survives trailers that are too long, with its message",
    async (where) => {
      const end = { "grpc-status": "5", "grpc-message": `no such%20thing ${"y".repeat(3000)}` };
      const big = { "x-long": long(80 * kib) };
      await start((stream) => answer(stream, {}, where === "first" ? { ...end, ...big } : { ...big, ...end }));
      const { code, message, trailers } = await call(client());
      expect([code, message]).toEqual([
        "5",
        expect.stringMatching(
          /^no such thing y{900,1024}\.\.\. \(trailers were dropped: .*called service takes \(65536 bytes/,
        ),
      ]);
      expect(trailers["ashlar-revision"]).toBe("1");
    },
  );

  test("a status survives in trailers that are the whole answer", async () => {
    await start((stream) => {
      stream.respond(
        { "content-type": "application/grpc", "x-long": long(80 * kib), "grpc-status": "9", "grpc-message": "not now" },
        { endStream: true },
      );
    });
    const { code, message, headers } = await call(client());
    expect([code, message]).toEqual(["9", expect.stringMatching(/^not now \(trailers were dropped/)]);
    expect(headers).toMatchObject({ ":status": 200, "content-type": "application/grpc" });
    expect(headers["x-long"]).toBeUndefined();
  });

  test("a caller's proxy that takes more than the service's asks first: 8, and nothing ends between them", async () => {
    const seen = await start(ok, { headerBytesMax: 512 * kib }, { headerBytesMax: 16 * kib });
    const session = client();
    for (const bytes of [40 * kib, 200 * kib]) {
      const { code, message } = await call(session, { "x-long": long(bytes) });
      expect([code, message]).toEqual(["8", expect.stringMatching(/request.*the proxy of bytes takes \(24576 bytes/)]);
    }
    expect((await call(session)).code).toBe("0");
    expect(seen).toHaveLength(1);
    expect(pair.callee.metrics.ended).toHaveLength(1);
  });

  test("a caller's proxy that takes less than the service's gets the status", async () => {
    await start(
      (stream) => answer(stream, {}, { "grpc-status": "5", "grpc-message": "gone", "x-long": long(200 * kib) }),
      { headerBytesMax: 16 * kib },
      { headerBytesMax: 512 * kib },
    );
    const session = client();
    for (let i = 0; i < 2; i++) {
      const { code, message, trailers } = await call(session);
      expect([code, message]).toEqual([
        "5",
        expect.stringMatching(/^gone \(trailers were dropped.*the caller takes \(24576/),
      ]);
      expect(trailers["ashlar-revision"]).toBe("1");
    }
  });

  test("an application that says it takes less is not sent more", async () => {
    const seen = await start(ok, {}, {}, { maxHeaderListSize: 8192 });
    const { code, message } = await call(client(), { "x-long": long(20 * kib) });
    expect([code, message]).toEqual([
      "8",
      expect.stringMatching(/request.*the application of bytes takes \(8192 bytes/),
    ]);
    expect(seen).toEqual([]);
  });

  test("a caller that says it takes less gets the status, and 1 byte is not believed", async () => {
    await start((stream) =>
      answer(stream, {}, { "grpc-status": "5", "grpc-message": "gone", "x-long": long(20 * kib) }),
    );
    const { code, message } = await call(client({ maxHeaderListSize: 8192 }));
    expect([code, message]).toEqual([
      "5",
      expect.stringMatching(/^gone \(trailers were dropped.*the caller takes \(8192/),
    ]);
  });

  test("more than four times the limit, from an application in either role, ends its own call alone", async () => {
    let release: (() => void) | undefined;
    const seen = await start((stream, { "x-ask": ask }) => {
      if (ask === "wait") release = () => ok(stream, {});
      else if (ask === undefined) ok(stream, {});
      else {
        const field = { "x-long": long(700 * kib) };
        const trailers = { "grpc-status": "5", "grpc-message": "gone", ...(ask === "trailers" ? field : {}) };
        answer(stream, ask === "headers" ? field : {}, trailers);
      }
    });
    const session = client();
    const beside = call(session, { "x-ask": "wait" });
    await call(session);
    const long1 = await call(session, { "x-long": long(700 * kib) });
    expect([long1.code, long1.message]).toEqual(["8", expect.stringMatching(/request's header fields are more than/)]);
    expect(seen).toHaveLength(2);
    const long2 = await call(session, { "x-ask": "headers" });
    expect([long2.code, long2.message]).toEqual(["8", expect.stringMatching(/response's header fields are more than/)]);
    const long3 = await call(session, { "x-ask": "trailers" });
    expect([long3.code, long3.message]).toEqual(["5", expect.stringMatching(/^gone \(trailers were dropped/)]);
    release?.();
    expect((await beside).code).toBe("0");
    expect([pair.caller.metrics.ended, pair.callee.metrics.ended].flat().map(({ code }) => code)).not.toContain(13);
  });
});
