/** Rows 48 and 49: broken gRPC-Web and Connect, over HTTP/2 and HTTP/1.1; and what is no call at all. */
import { type Field, message, request } from "../../support/wire.js";
import { type Arena, type Check, call, outcome, together, type Verdict, verdict } from "../check.js";
import { pause } from "../child.js";
import { askHttp1, bodyOf } from "../http1.js";

const path = "/checks.Echo/Unary";

interface Sent {
  readonly name: string;
  readonly method?: string;
  readonly path?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** How the answer reads: HTTP's status, then gRPC's or the code of Connect. */
  readonly wanted: string;
}

/** Returns the status of gRPC-Web, from the head or the last frame, or the code of Connect's error. */
function statusIn(text: string, isText: boolean): string {
  const plain = isText ? Buffer.from(text.replace(/=+/g, ""), "base64").toString("latin1") : text;
  const [, grpc] = /grpc-status: ?(\d+)/.exec(plain) ?? [];
  if (grpc !== undefined) return ` grpc-status ${grpc}`;
  const [, code] = /"code":"([a-z_]+)"/.exec(plain) ?? [];
  return code === undefined ? "" : ` ${code}`;
}

async function overHttp2(arena: Arena, sent: Sent): Promise<string> {
  const peer = await arena.connectListener("web");
  const { method = "POST", path: at = path, headers, body = Buffer.alloc(0) } = sent;
  const fields: Field[] = request(at, { ":method": method }).filter(
    ([name]) => name !== "content-type" && name !== "te",
  );
  const stream = await call(peer, [...fields, ...Object.entries(headers)], { body });
  const status = stream.value(":status");
  if (status === undefined) return outcome(peer, stream);
  const isText = stream.value("content-type")?.includes("-text") === true;
  const ofHead = stream.value("grpc-status");
  peer.close();
  return `HTTP ${status}${ofHead === undefined ? statusIn(Buffer.concat(stream.body).toString("latin1"), isText) : ` grpc-status ${ofHead}`}`;
}

async function overHttp1(arena: Arena, { method = "POST", path: at = path, headers, body }: Sent): Promise<string> {
  const lines = Object.entries({ host: "echo", ...headers }).map(([name, value]) => `${name}: ${value}`);
  const head = [`${method} ${at} HTTP/1.1`, ...lines, `content-length: ${body?.length ?? 0}`, "connection: close"];
  const answered = await askHttp1(arena, `${head.join("\r\n")}\r\n\r\n${body?.toString("latin1") ?? ""}`);
  const { statuses, text } = answered;
  const isText = /content-type: application\/grpc-web-text/i.test(text);
  const [, ofHead] = /^grpc-status: (\d+)/im.exec(text.slice(0, text.indexOf("\r\n\r\n"))) ?? [];
  return `HTTP ${statuses.join()}${ofHead === undefined ? statusIn(bodyOf(answered), isText) : ` grpc-status ${ofHead}`}`;
}

/** None may reach the application as a whole call. */
async function refuseAll(arena: Arena, all: readonly Sent[]): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const sent of all) {
    for (const [over, ask] of [
      ["HTTP/2", overHttp2],
      ["HTTP/1.1", overHttp1],
    ] as const) {
      const seen = await ask(arena, sent);
      parts.push([`${sent.name}, ${over}`, verdict(seen === sent.wanted, seen)]);
    }
  }
  await pause(100);
  const { openCalls, seen } = arena.upstream;
  const whole = seen.filter(({ stream }) => stream.ended).length;
  if (openCalls > 0 || whole > 0)
    parts.push(["afterwards", verdict(false, `the application saw ${whole} whole calls and has ${openCalls} open`)]);
  return together(parts);
}

const binary = { "content-type": "application/grpc-web" };
const text = { "content-type": "application/grpc-web-text" };
const frameOf = (flags: number, content: string): Buffer => {
  const framed = message(content);
  framed[0] = flags;
  return framed;
};
const good = message("hello");
const base64 = Buffer.from(good.toString("base64"));
const [invalid, internal] = ["HTTP 400 invalid_argument", "HTTP 200 grpc-status 13"] as const;

const brokenWeb: readonly Sent[] = [
  { name: "a trailer frame", headers: binary, body: Buffer.concat([good, frameOf(0x80, "x: y\r\n")]) },
  { name: "a trailer frame alone", headers: binary, body: frameOf(0x80, "grpc-status: 0\r\n") },
  { name: "a compressed trailer frame", headers: binary, body: Buffer.concat([good, frameOf(0x81, "x")]) },
  { name: "a frame of no kind", headers: binary, body: frameOf(0x02, "x") },
  { name: "half a message", headers: binary, body: good.subarray(0, 7) },
  { name: "half a prefix", headers: binary, body: good.subarray(0, 3) },
  { name: "no base64", headers: text, body: Buffer.from("!!!!") },
  { name: "base64url", headers: text, body: Buffer.from("__-_") },
  { name: "half a group", headers: text, body: base64.subarray(0, -1) },
  { name: "padding within a group", headers: text, body: Buffer.from("A=AA") },
  { name: "three pads", headers: text, body: Buffer.from("A===") },
  { name: "a line end within", headers: text, body: Buffer.from(`AAAA\r\n${base64}`) },
  { name: "a trailer frame in base64", headers: text, body: Buffer.from(frameOf(0x80, "x: y\r\n").toString("base64")) },
].map((sent) => ({ ...sent, wanted: internal }));

const proto = { "content-type": "application/proto" };
const stream = { "content-type": "application/connect+proto" };
const query = "?connect=v1&encoding=proto&base64=1&message=eA";

const brokenConnect: readonly Sent[] = [
  ...["br", "deflate", "GZIP", "gzip, gzip", "x".repeat(300)].map((coding) => ({
    name: `coding ${coding.slice(0, 10)}`,
    headers: { ...proto, "content-encoding": coding },
    body: Buffer.from("x"),
    wanted: "HTTP 501 unimplemented",
  })),
  {
    name: "coding br of a stream",
    headers: { ...stream, "connect-content-encoding": "br" },
    body: good,
    wanted: "HTTP 200 unimplemented",
  },
  { name: "version 2", headers: { ...proto, "connect-protocol-version": "2" }, wanted: invalid },
  ...["x", "-1", "1.5", "12345678901", ""].map((limit) => ({
    name: `time-out ${JSON.stringify(limit)}`,
    headers: { ...proto, "connect-timeout-ms": limit },
    wanted: invalid,
  })),
  { name: "a frame of no kind", headers: stream, body: frameOf(0x04, "x"), wanted: "HTTP 200 invalid_argument" },
  { name: "a last frame of a client", headers: stream, body: frameOf(0x02, "{}"), wanted: "HTTP 200 invalid_argument" },
  { name: "half a message", headers: stream, body: good.subarray(0, 7), wanted: "HTTP 200 invalid_argument" },
];

const noCalls: readonly Sent[] = [
  { name: "GET of what changes something", method: "GET", path: `${path}${query}`, headers: {}, wanted: "HTTP 405" },
  ...["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"].map((method) => ({
    ...{ name: method, method, headers: {}, wanted: "HTTP 405" },
  })),
  ...["text/plain", "application/json", "application/grpc-webx", "application/grpcx", "multipart/form-data"].map(
    (type) => ({
      ...{ name: type, headers: { "content-type": type }, wanted: "HTTP 415" },
    }),
  ),
  { name: "no content type", headers: {}, wanted: "HTTP 415" },
  { name: "no such path", path: "/", headers: proto, wanted: "HTTP 404" },
  { name: "a path with dots", path: "/x/../checks.Echo/Unary", headers: proto, wanted: "HTTP 404" },
  { name: "a path with %2f", path: "/checks.Echo%2fUnary", headers: proto, wanted: "HTTP 404" },
  { name: "a method with a slash behind it", path: `${path}/`, headers: proto, wanted: "HTTP 404" },
  { name: "not exposed, Connect", path: "/checks.Echo/Hidden", headers: proto, wanted: "HTTP 404 unimplemented" },
  {
    name: "not exposed, gRPC-Web",
    path: "/checks.Echo/Hidden",
    headers: binary,
    body: good,
    wanted: "HTTP 200 grpc-status 12",
  },
];

const refusing = (row: number, name: string, all: readonly Sent[]): Check => ({
  row,
  name: `${name} (${all.length})`,
  run: (arena) => refuseAll(arena, all),
});

export const edgeWeb: readonly Check[] = [
  refusing(48, "gRPC-Web: broken base64, trailer frames", brokenWeb),
  refusing(49, "Connect: unknown codings, broken frames", brokenConnect),
  refusing(49, "what is no call", noCalls),
];
