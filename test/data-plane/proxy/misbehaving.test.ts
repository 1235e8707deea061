/** Applications and peers that do not behave: the caller always gets a status, and only safe retries are made. */
import {
  constants,
  createServer,
  type Http2Server,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { buildPolicy, everyone, issueIdentity } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair, TestSide } from "../../support/proxy-pair.js";

const hello = Buffer.from("hello");
const framed = Buffer.from([0, 0, 0, 0, 1, 42]);
const grpc = { "content-type": "application/grpc" };
const good = (stream: ServerHttp2Stream): void => {
  stream.respond(grpc, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(framed);
};

const page = (stream: ServerHttp2Stream, headers: OutgoingHttpHeaders): void => {
  stream.respond(headers);
  stream.end("a page");
};

describe("misbehaving upstreams", () => {
  let pair: ProxyPair;
  let count = 0;
  const servers: Http2Server[] = [];

  /** An application that does with each stream what the test says; `streams` counts them. */
  const serve = (act: (stream: ServerHttp2Stream, session: ServerHttp2Session) => void) => {
    const seen = { streams: 0 };
    const path = join(pair.dir, `raw-${count++}.sock`);
    const server = createServer({ settings: { maxConcurrentStreams: 100 } }).listen(path);
    server.on("session", (session) => {
      session.on("error", () => {});
      session.on("stream", (stream) => {
        stream.on("error", () => {});
        stream.resume();
        seen.streams += 1;
        act(stream, session);
      });
    });
    servers.push(server);
    pair.callee.app.set({ instance: path, target: { path } });
    return seen;
  };

  beforeEach(async () => {
    pair = await ProxyPair.start({});
  });
  afterEach(() => {
    pair.stop();
    for (const server of servers.splice(0)) server.close();
  });

  for (const [name, act, code] of [
    ["resets before headers", (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR), status.INTERNAL],
    ["cancels before headers", (stream) => stream.close(constants.NGHTTP2_CANCEL), status.CANCELLED],
    ["asks for calm", (stream) => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM), status.RESOURCE_EXHAUSTED],
    [
      "resets after data",
      (stream) => {
        stream.respond(grpc);
        stream.write(framed, () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      },
      status.INTERNAL,
    ],
    ["answers HTTP 503", (stream) => stream.respond({ ":status": 503 }, { endStream: true }), status.UNAVAILABLE],
    ["answers HTTP 404 with a page", (stream) => page(stream, { ":status": 404 }), status.UNIMPLEMENTED],
    ["answers HTML", (stream) => page(stream, { "content-type": "text/html" }), status.INTERNAL],
    [
      "ends without trailers",
      (stream) => {
        stream.respond(grpc);
        stream.end(framed);
      },
      status.INTERNAL,
    ],
    ["ends with headers alone", (stream) => stream.respond(grpc, { endStream: true }), status.INTERNAL],
    ["drops the connection", (_stream, session) => session.destroy(), status.UNAVAILABLE],
  ] as [string, (stream: ServerHttp2Stream, session: ServerHttp2Session) => void, status][]) {
    test(`an application that ${name} gives ${status[code]}, with the revision, and no hang`, async () => {
      const seen = serve(act);
      const { error, trailers } = await pair.client().unary(hello, new Metadata(), { deadline: Date.now() + 30_000 });
      expect(error?.code).toBe(code);
      expect(trailers.get("ashlar-revision")).toEqual(["1"]);
      expect(seen.streams).toBe(1); // it may have been processed: not tried again
      await eventually("nothing stays open", () => pair.inbound.open.size === 0);
    });
  }

  test("a stream that was surely not processed is sent again, with its whole request", async () => {
    let received = 0;
    const seen = serve((stream) => {
      if (seen.streams < 3) {
        stream.close(constants.NGHTTP2_REFUSED_STREAM);
        return;
      }
      stream.on("data", (chunk: Buffer) => {
        received += chunk.length;
      });
      stream.on("end", () => good(stream));
    });
    const { error } = await pair.client().unary(Buffer.alloc(20_000));
    expect(error).toBeUndefined();
    expect([seen.streams, received]).toEqual([3, 20_005]);
  });

  test("I8: refusals end after three attempts with 14", async () => {
    const seen = serve((stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM));
    const { error } = await pair.client().unary(hello);
    expect([error?.code, seen.streams]).toEqual([status.UNAVAILABLE, 3]);
  });

  test("a request longer than what is kept for a retry is sent once", async () => {
    const seen = serve((stream) => {
      let bytes = 0;
      stream.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > 200_000) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      });
    });
    const { error } = await pair.client().unary(Buffer.alloc(1_000_000));
    expect([error?.code, seen.streams]).toEqual([status.UNAVAILABLE, 1]);
  });

  test("an early answer reaches the caller before it has sent everything, and the rest is not wanted", async () => {
    serve((stream) => {
      stream.respond({ ...grpc, "grpc-status": "9", "grpc-message": "enough" }, { endStream: true });
    });
    const error = await new Promise<{ code: number; details: string } | null>((resolve) => {
      const call = pair.client().clientStream((failure) => resolve(failure));
      call.on("error", () => {});
      call.write(Buffer.alloc(1000));
    });
    expect(error).toMatchObject({ code: 9, details: "enough" });
    await eventually("nothing stays open", () => pair.inbound.open.size === 0);
  });

  test("an application that hangs is reset when the deadline passes", async () => {
    let rstCode: number | undefined;
    serve((stream) => stream.on("close", () => (rstCode = stream.rstCode)));
    const { error } = await pair.client().unary(hello, new Metadata(), { deadline: Date.now() + 2000 });
    expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
    await eventually("it is reset", () => rstCode !== undefined);
    expect(rstCode).toBe(constants.NGHTTP2_CANCEL);
  });

  test("I10: a call that is refused while its upstream is still being dialled is never sent", async () => {
    const seen = serve(good);
    const { current } = pair.callee.app;
    if (current === undefined) throw new Error("no application");
    // the switch comes while the call waits for the connection to the application
    const target = {
      get path() {
        setImmediate(() => pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes" }])));
        return "path" in current.target ? current.target.path : "";
      },
    };
    pair.callee.app.set({ instance: "dialled", target });
    const { error } = await pair.client().unary(hello);
    expect(error?.code).toBe(status.PERMISSION_DENIED);
    await eventually("nothing stays open", () => pair.inbound.open.size === 0);
    expect(seen.streams).toBe(0);
  });

  test("a peer proxy that dies in the middle of a call gives 14, and the next call goes elsewhere", async () => {
    serve(() => {});
    const call = pair.client().bidi();
    const ended = new Promise<{ code: number }>((resolve) => call.on("status", resolve));
    call.on("error", () => {});
    call.write(hello);
    await eventually("it is open", () => pair.inbound.open.size === 1);
    const second = new TestSide(issueIdentity(pair.pki, "bytes"), pair.pki.rootPem);
    const { address } = await second.inbound();
    second.policy.switchTo(buildPolicy(1, [{ service: "bytes", allow: [everyone] }]));
    pair.inbound.close();
    expect((await ended).code).toBe(status.UNAVAILABLE);
    serve(good);
    second.app.set(pair.callee.app.current);
    pair.caller.endpoints.add("bytes", address);
    for (let index = 0; index < 10; index++) expect((await pair.client().unary(hello)).error).toBeUndefined();
    second.close();
  });
});
