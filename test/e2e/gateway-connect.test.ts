/** The Connect protocol at a gateway, by clients that are not ours and by hand. */
import { gzipSync } from "node:zlib";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport as createNodeTransport } from "@connectrpc/connect-node";
import { createConnectTransport } from "@connectrpc/connect-web";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { echoService } from "../support/echo-schema.js";
import { startWebMesh, type WebMesh, webListener, webPolicy } from "../support/web-mesh.js";

let web: WebMesh;
let base: string;
const schema = echoService();

beforeAll(async () => {
  web = await startWebMesh(webPolicy(webListener("web")), (dir) => [
    ...["--listener", "web=127.0.0.1:0", "--descriptors", `${dir}/echo.binpb`],
  ]);
  base = `http://${web.addresses.web}`;
}, 90_000);

afterAll(() => web?.stop(), 60_000);

interface Reply {
  readonly text: string;
  readonly count: number;
  readonly caller: string;
  readonly payload: Uint8Array;
}

interface EchoCalls {
  unary(message: object, options?: object): Promise<Reply>;
  serverStream(message: object, options?: object): AsyncIterable<Reply>;
  clientStream(messages: AsyncIterable<object>): Promise<Reply>;
  bidi(messages: AsyncIterable<object>): AsyncIterable<Reply>;
  forbidden(message: object): Promise<Reply>;
}

const clientOf = (transport: Transport): EchoCalls => createClient(schema, transport) as unknown as EchoCalls;
const codeOf = (error: unknown): Code => ConnectError.from(error).code;
const failure = (call: Promise<unknown>): Promise<unknown> => call.then(() => undefined).catch((error) => error);

/** The transports of a form of messages. */
const transports = (useBinaryFormat: boolean): readonly Transport[] => {
  const gzip = { sendCompression: compressionGzip, compressMinBytes: 0 };
  return [
    createConnectTransport({ baseUrl: base, useBinaryFormat, useHttpGet: true }),
    createNodeTransport({ baseUrl: base, useBinaryFormat, httpVersion: "1.1" }),
    createNodeTransport({ baseUrl: base, useBinaryFormat, httpVersion: "2" }),
    createNodeTransport({ baseUrl: base, useBinaryFormat, httpVersion: "2", useHttpGet: true }),
    createNodeTransport({ baseUrl: base, useBinaryFormat, httpVersion: "2", ...gzip }),
    createNodeTransport({ baseUrl: base, useBinaryFormat, httpVersion: "1.1", ...gzip, useHttpGet: true }),
  ];
};

for (const isBinary of [true, false])
  test(`clients of Connect call in ${isBinary ? "protobuf" : "JSON"}, over HTTP/1.1 and HTTP/2, by POST and GET`, async () => {
    for (const client of transports(isBinary).map(clientOf)) {
      let [headers, trailers] = [new Headers(), new Headers()];
      const about = {
        headers: { "x-sent": "this", "ashlar-client": "spiffe://other/one" },
        onHeader: (found: Headers) => {
          headers = found;
        },
        onTrailer: (found: Headers) => {
          trailers = found;
        },
      };
      const payload = new Uint8Array(9000).fill(3);
      const reply = await client.unary({ text: "hello", payload }, about);
      expect([reply.text, reply.caller, reply.payload.length]).toEqual(["hello", "spiffe://test/gateway/public", 9000]);
      expect([headers.get("x-header"), headers.get("x-seen-ashlar-client")]).toEqual(["this", ""]);
      expect([trailers.get("x-trailer"), Number(trailers.get("ashlar-revision")) > 0]).toEqual(["end", true]);
      const counts: number[] = [];
      for await (const { count } of client.serverStream({ text: "x", count: 50 })) counts.push(count);
      expect(counts).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
      const failed = ConnectError.from(await failure(client.unary({ status: 9 })));
      expect([failed.code, failed.rawMessage]).toEqual([Code.FailedPrecondition, "as asked"]);
      expect(codeOf(await failure(client.forbidden({})))).toBe(Code.Unimplemented);
    }
  });

test("a stream of the client's comes in, and one that policy denies does not", async () => {
  async function* three() {
    for (const text of ["a", "b", "c"]) yield { text };
  }
  for (const isBinary of [true, false]) {
    const client = clientOf(createNodeTransport({ baseUrl: base, useBinaryFormat: isBinary, httpVersion: "2" }));
    expect(await client.clientStream(three())).toMatchObject({ text: "c", count: 3 });
    const drain = async (): Promise<void> => {
      for await (const _reply of client.bidi(three()));
    };
    expect(codeOf(await failure(drain()))).toBe(Code.PermissionDenied);
  }
});

test("a deadline ends the call, for both sides", async () => {
  for (const client of transports(true).map(clientOf)) {
    const late = await failure(client.unary({ delayMs: 60_000 }, { timeoutMs: 400 }));
    expect(codeOf(late)).toBe(Code.DeadlineExceeded);
  }
});

const json = { "content-type": "application/json" };
const post = (
  headers: Record<string, string>,
  body: string | Uint8Array<ArrayBuffer>,
  path = "/test.Echo/Unary",
): Promise<Response> => fetch(`${base}${path}`, { method: "POST", headers, body });
const text = JSON.stringify({ text: "hi" });

test("errors are JSON with Connect's names, and what is unknown is unimplemented", async () => {
  const cases: readonly (readonly [string, Promise<Response>, number, string])[] = [
    ["a bad message", post(json, "{"), 400, "invalid_argument"],
    ["no protobuf", post(json, '{"text": 1}'), 400, "invalid_argument"],
    ["an unknown coding", post({ ...json, "content-encoding": "br" }, text), 501, "unimplemented"],
    ["no gzip", post({ ...json, "content-encoding": "gzip" }, text), 400, "invalid_argument"],
    ["a version", post({ ...json, "connect-protocol-version": "2" }, text), 400, "invalid_argument"],
    ["a time", post({ ...json, "connect-timeout-ms": "1s" }, text), 400, "invalid_argument"],
    ["a method that is not there", post(json, text, "/test.Echo/Missing"), 404, "unimplemented"],
    ["too much", post(json, JSON.stringify({ text: "x".repeat(5 * 2 ** 20) })), 429, "resource_exhausted"],
    [
      "a bomb",
      post({ ...json, "content-encoding": "gzip" }, gzipSync(Buffer.alloc(2 ** 26, 32))),
      429,
      "resource_exhausted",
    ],
    ["a stream by POST", post(json, JSON.stringify({ count: 2 }), "/test.Echo/ServerStream"), 501, "unimplemented"],
  ];
  for (const [what, answer, httpStatus, code] of cases) {
    const { status, headers } = await answer;
    const body = (await (await answer).json()) as { code: string };
    expect([what, status, body.code, headers.get("content-type")]).toEqual([
      what,
      httpStatus,
      code,
      "application/json",
    ]);
  }
  const stream = await post({ "content-type": "application/connect+json", "connect-content-encoding": "br" }, "");
  const framed = Buffer.from(await stream.arrayBuffer());
  expect([stream.status, framed[0], framed.toString("utf8", 5)]).toEqual([
    ...[200, 2],
    expect.stringContaining('"unimplemented"'),
  ]);
});

test("compressed JSON is read", async () => {
  const big = JSON.stringify({ text: "y".repeat(10_000) });
  const answer = await post({ ...json, "accept-encoding": "gzip" }, big);
  expect(((await answer.json()) as Reply).text.length).toBe(10_000);
  const body = gzipSync(JSON.stringify({ text: "zipped" }));
  expect(await (await post({ ...json, "content-encoding": "gzip" }, body)).json()).toMatchObject({ text: "zipped" });
});

test("GET is for methods without side effects", async () => {
  const query = `?connect=v1&encoding=json&message=${encodeURIComponent(text)}`;
  const cases = [
    [`/test.Echo/Unary${query}`, 200],
    [`/test.Echo/Unary?encoding=proto&base64=1&message=${Buffer.from([10, 2, 104, 105]).toString("base64url")}`, 200],
    [`/test.Echo/Unary?encoding=json&connect=v2&message=${encodeURIComponent(text)}`, 400],
    ["/test.Echo/Unary?encoding=json", 400],
    [`/test.Echo/Unary${query}&compression=br`, 501],
    [`/test.Echo/ClientStream${query}`, 405],
    [`/test.Echo/Missing${query}`, 404],
    ["/test.Echo/Unary", 405],
    ["/favicon.ico", 404],
  ] as const;
  const found = await Promise.all(cases.map(async ([path]) => [path, (await fetch(`${base}${path}`)).status]));
  expect(found).toEqual(cases);
  const head = await fetch(`${base}/test.Echo/Unary${query}`, { method: "HEAD" });
  expect([head.status, head.headers.get("allow")]).toEqual([405, "GET, POST"]);
});
