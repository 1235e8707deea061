/** gRPC-Web at a gateway, by a client that is not ours and by hand. */
import { request } from "node:http";
import { connect } from "node:http2";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport as createNodeTransport } from "@connectrpc/connect-node";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { echoService } from "../support/echo-schema.js";
import { startWebMesh, type WebMesh, webListener, webPolicy } from "../support/web-mesh.js";

let web: WebMesh;
let base: string;
const schema = echoService();

beforeAll(async () => {
  web = await startWebMesh(webPolicy(webListener("web")), () => ["--listener", "web=127.0.0.1:0"]);
  base = `http://${web.addresses.web}`;
}, 90_000);

afterAll(() => web?.stop(), 60_000);

interface EchoReply {
  readonly text: string;
  readonly count: number;
  readonly caller: string;
}

/** The clients, by what they speak: their types are those of any service. */
const clients = () =>
  [
    createGrpcWebTransport({ baseUrl: base }),
    createNodeTransport({ baseUrl: base, httpVersion: "1.1" }),
    createNodeTransport({ baseUrl: base, httpVersion: "2" }),
  ].map(
    (transport) =>
      createClient(schema, transport) as unknown as {
        unary(message: object, options?: object): Promise<EchoReply>;
        serverStream(message: object, options?: object): AsyncIterable<EchoReply>;
        clientStream(messages: AsyncIterable<object>): Promise<EchoReply>;
        bidi(messages: AsyncIterable<object>): AsyncIterable<EchoReply>;
        forbidden(message: object): Promise<EchoReply>;
      },
  );

const codeOf = (error: unknown): Code => ConnectError.from(error).code;

test("clients of gRPC-Web call, fetch's, HTTP/1.1's and HTTP/2's", async () => {
  for (const client of clients()) {
    const headers = new Map<string, string | null>();
    const trailers = new Map<string, string | null>();
    const reply = await client.unary(
      { text: "hello" },
      {
        headers: { "x-sent": "this", "x-forwarded-for": "10.9.9.9" },
        onHeader: (found: Headers) => found.forEach((value, name) => void headers.set(name, value)),
        onTrailer: (found: Headers) => found.forEach((value, name) => void trailers.set(name, value)),
      },
    );
    expect(reply).toMatchObject({ text: "hello", caller: "spiffe://test/gateway/public" });
    expect(headers.get("x-header")).toBe("this");
    expect(headers.get("x-seen-x-forwarded-for")).toBe("127.0.0.1");
    expect(trailers.get("x-trailer")).toBe("end");
    expect(Number(trailers.get("ashlar-revision"))).toBeGreaterThan(0);
    const texts: number[] = [];
    for await (const { count } of client.serverStream({ text: "x", count: 200 })) texts.push(count);
    expect(texts).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    expect(codeOf(await client.unary({ status: 5 }).catch((error: unknown) => error))).toBe(Code.NotFound);
    expect(codeOf(await client.forbidden({}).catch((error: unknown) => error))).toBe(Code.Unimplemented);
  }
});

test("large messages pass both ways", async () => {
  const payload = new Uint8Array(3_000_000).fill(7);
  for (const client of clients()) {
    const reply = (await client.unary({ payload })) as unknown as { payload: Uint8Array };
    expect(Buffer.compare(reply.payload, payload)).toBe(0);
  }
});

test("a call that policy denies is denied as in gRPC, and its deadline holds", async () => {
  const [, , client] = clients();
  async function* one() {
    yield { text: "x" };
  }
  const denied = await (async () => {
    for await (const _reply of client?.bidi(one()) ?? []);
  })().catch((error: unknown) => error);
  expect(codeOf(denied)).toBe(Code.PermissionDenied);
  const late = await client?.unary({ delay_ms: 60_000, delayMs: 60_000 }, { timeoutMs: 300 }).catch((error) => error);
  expect(codeOf(late)).toBe(Code.DeadlineExceeded);
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

function send(path: string, headers: Record<string, string>, body: string | Buffer, method = "POST"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(`${base}${path}`, { method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Decodes base64 of which each piece is padded by itself. */
const readText = (body: Buffer): Buffer =>
  Buffer.concat((body.toString().match(/[A-Za-z0-9+/]+={0,2}/g) ?? []).map((part) => Buffer.from(part, "base64")));

const frameOf = (message: Buffer, flags = 0): Buffer => {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};
const hello = frameOf(Buffer.concat([Buffer.from([0x0a, 5]), Buffer.from("hello")]));
const path = "/test.Echo/Unary";

test("text: base64 both ways, in pieces, and what is broken is answered 13", async () => {
  const type = "application/grpc-web-text";
  const pieces = [hello.subarray(0, 4), hello.subarray(4)].map((part) => part.toString("base64")).join("");
  for (const body of [hello.toString("base64"), pieces]) {
    const answer = await send(path, { "content-type": type, accept: type }, body);
    expect([answer.status, answer.headers["content-type"]]).toEqual([200, type]);
    const read = readText(answer.body);
    expect(read.toString("latin1")).toContain("hello");
    expect(read.toString("latin1")).toContain("grpc-status: 0\r\n");
  }
  for (const body of [
    "AAAA!AAA",
    `${hello.toString("base64")}A`,
    "=AAA",
    "A===",
    hello.toString("base64").slice(0, 8),
  ]) {
    const answer = await send(path, { "content-type": type }, body);
    expect([body, readText(answer.body).toString("latin1")]).toEqual([
      body,
      expect.stringContaining("grpc-status: 13\r\n"),
    ]);
  }
});

test("a trailer frame in a request, or half a message, is answered 13", async () => {
  const type = "application/grpc-web+proto";
  for (const body of [
    frameOf(Buffer.from("a: b\r\n"), 0x80),
    hello.subarray(0, 8),
    Buffer.concat([hello, frameOf(Buffer.alloc(1), 2)]),
  ]) {
    const answer = await send(path, { "content-type": type }, body);
    expect([answer.status, answer.body.toString("latin1")]).toEqual([
      200,
      expect.stringContaining("grpc-status: 13\r\n"),
    ]);
  }
});

test("what is no call is answered as HTTP has it", async () => {
  const answers = await Promise.all([
    send("/", {}, "", "GET"),
    send(path, { "content-type": "text/plain" }, "x"),
    send(path, {}, "", "DELETE"),
    send("/test.Echo/Missing", { "content-type": "text/plain" }, "x"),
    send("/test.Echo/Unary/", { "content-type": "application/grpc-web" }, hello),
    send(path, { "content-type": "application/grpc" }, hello),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([404, 415, 405, 404, 404, 505]);
  const session = connect(base);
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": "text/plain" });
  stream.end("x");
  expect(await new Promise((resolve) => stream.on("response", (head) => resolve(head[":status"])))).toBe(415);
  session.close();
});
