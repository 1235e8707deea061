/** Row 45: requests of HTTP/1.1 that two servers could read differently, each with a good one behind it. */
import { type Arena, type Check, together, type Verdict, verdict } from "../check.js";
import { pause } from "../child.js";
import { type Answered, askHttp1 } from "../http1.js";

const line = "POST /checks.Echo/Unary HTTP/1.1";
const type = "content-type: application/proto";
const head = (...lines: readonly string[]): string => `${lines.join("\r\n")}\r\n\r\n`;
const call = (...lines: readonly string[]): string => head(line, "host: echo", type, ...lines);
const chunked = call("transfer-encoding: chunked");
const target = (request: string): string => head(request, "host: echo", type, "content-length: 2");
const host = (...lines: readonly string[]): string => head(line, ...lines, type, "content-length: 2");

interface Smuggled {
  readonly name: string;
  readonly bytes: string;
  /** 400, unless told. */
  readonly status?: number;
}

const lengths: readonly Smuggled[] = [
  { name: "length, then coding", bytes: `${call("content-length: 5", "transfer-encoding: chunked")}0\r\n\r\n` },
  { name: "coding, then length", bytes: `${call("transfer-encoding: chunked", "content-length: 5")}0\r\n\r\n` },
  { name: "two lengths", bytes: call("content-length: 0", "content-length: 40") },
  { name: "one length twice", bytes: `${call("content-length: 2", "content-length: 2")}{}` },
  ...["2, 2", "+2", "-2", "0x2", "2 2", "", "2;", "18446744073709551618", "\v2"].map((value) => ({
    name: `length ${JSON.stringify(value)}`,
    bytes: `${call(`content-length: ${value}`)}{}`,
  })),
  ...["identity", "chunked, identity", "gzip, chunked", "xchunked", "chunked;q=1", ""].map((value) => ({
    name: `coding ${JSON.stringify(value)}`,
    bytes: `${call(`transfer-encoding: ${value}`)}0\r\n\r\n`,
    status: 501,
  })),
  {
    name: "two codings",
    bytes: `${call("transfer-encoding: chunked", "transfer-encoding: chunked")}0\r\n\r\n`,
    status: 501,
  },
  { name: "a coding with a control character", bytes: `${call("transfer-encoding: \vchunked")}0\r\n\r\n` },
];

const chunks: readonly Smuggled[] = [
  ["an extension", "2;x=y\r\n{}\r\n0\r\n\r\n"],
  ["an extension after the last chunk", "2\r\n{}\r\n0;x\r\n\r\n"],
  ["a space before the end of the line", "2 \r\n{}\r\n0\r\n\r\n"],
  ["a space first", " 2\r\n{}\r\n0\r\n\r\n"],
  ["a sign", "+2\r\n{}\r\n0\r\n\r\n"],
  ["a negative size", "-2\r\n{}\r\n0\r\n\r\n"],
  ["0x", "0x2\r\n{}\r\n0\r\n\r\n"],
  ["no size", "\r\n{}\r\n0\r\n\r\n"],
  ["2^64 and 2", "10000000000000002\r\n{}\r\n0\r\n\r\n"],
  ["2^64 - 1", "ffffffffffffffff\r\n{}\r\n0\r\n\r\n"],
  ["2^36", "1000000000\r\n{}\r\n0\r\n\r\n"],
  ["twenty zeros before the size", "000000000000000000002\r\n{}\r\n0\r\n\r\n"],
  ["bare LF after the size", "2\n{}\r\n0\r\n\r\n"],
  ["bare CR after the size", "2\r{}\r\n0\r\n\r\n"],
  ["bare LF after the chunk", "2\r\n{}\n0\r\n\r\n"],
  ["more bytes than said", "2\r\n{}x\r\n0\r\n\r\n"],
  ["a trailer", "2\r\n{}\r\n0\r\nx: y\r\n\r\n"],
  ["a trailer with a length", "2\r\n{}\r\n0\r\ncontent-length: 9\r\n\r\n"],
].map(([name = "", bytes = ""]) => ({ name: `chunk: ${name}`, bytes: chunked + bytes }));

const fields: readonly Smuggled[] = [
  ["a continued line", call("x-one: a", " content-length: 2")],
  ["a continued line with a tab", call("x-one: a", "\tcontent-length: 2")],
  ["a first line that goes on", head(line, " x: y", "host: echo", type)],
  ["a space before the colon", call("content-length : 2")],
  ["a tab before the colon", call("transfer-encoding\t: chunked")],
  ["no colon", call("content-length")],
  ["no name", call(": 2")],
  ["a space in the name", call("content length: 2")],
  ["a name beyond ASCII", call("c\xf6ntent-length: 2")],
  ["NUL in a name", call("content\0-length: 2")],
  ["bare CR in a value", call("x: a\rcontent-length: 2")],
  ["bare LF in a value", call("x: a\ncontent-length: 2")],
  ["NUL in a value", call("x: a\0b")],
  ["CR CR LF", call("x: a\r\r\ny: b")],
  ["lines that end with LF alone", call("content-length: 0").replaceAll("\r\n", "\n").replace(/\n$/, "\r\n\r\n")],
].map(([name = "", bytes = ""]) => ({ name, bytes }));

const targets: readonly Smuggled[] = [
  ["absolute form", target("POST http://echo/checks.Echo/Unary HTTP/1.1")],
  ["absolute form of https", target("POST https://echo/checks.Echo/Unary HTTP/1.1")],
  ["CONNECT", target("CONNECT echo:443 HTTP/1.1")],
  ["a star", target("OPTIONS * HTTP/1.1")],
  ["no slash", target("POST checks.Echo/Unary HTTP/1.1")],
  ["two spaces", target("POST  /checks.Echo/Unary HTTP/1.1")],
  ["a tab", target("POST\t/checks.Echo/Unary\tHTTP/1.1")],
  ["a space at the end", target("POST /checks.Echo/Unary HTTP/1.1 ")],
  ["lower case", target("post /checks.Echo/Unary HTTP/1.1")],
  ["no version", target("POST /checks.Echo/Unary")],
  ["a byte beyond ASCII", target("POST /checks.Echo/Unary\xe9 HTTP/1.1")],
  ["HTTP/1.10", target("POST /checks.Echo/Unary HTTP/1.10")],
  ["HTTP/1.0", target("POST /checks.Echo/Unary HTTP/1.0"), 505],
  ["HTTP/2.0", target("PRI * HTTP/2.0"), 505],
].map(([name, bytes, status = 400]) => ({ name: `target: ${name}`, bytes: String(bytes), status: Number(status) }));

const hosts: readonly Smuggled[] = [
  ["none", host()],
  ["two", host("host: echo", "host: other")],
  ["one twice", host("host: echo", "host: echo")],
  ["a list", host("host: echo, other")],
  ["userinfo", host("host: user@echo")],
  ["two ports", host("host: echo:1:2")],
  ["a path", host("host: echo/x")],
  ["empty", host("host:")],
].map(([name = "", bytes = ""]) => ({ name: `host: ${name}`, bytes }));

const settingsOfUpgrade = "http2-settings: AAMAAABkAAQAAP__";
const upgrades: readonly Smuggled[] = [
  ["to h2c", call("connection: upgrade, http2-settings", "upgrade: h2c", settingsOfUpgrade)],
  ["to h2c, not named", call("upgrade: h2c", settingsOfUpgrade)],
  ["to websocket", call("connection: upgrade", "upgrade: websocket")],
  ["of no protocol", call("connection: upgrade")],
  ["a field that is for one hop", call("connection: authorization")],
  ["proxy-connection", call("proxy-connection: keep-alive")],
  ["an announced trailer", call("trailer: x")],
].map(([name = "", bytes = ""]) => ({ name: `upgrade: ${name}`, bytes }));

const sizes: readonly Smuggled[] = [
  { name: "300 KiB of fields", bytes: call(`x: ${"y".repeat(300 * 1024)}`), status: 431 },
  { name: "5000 fields", bytes: call(...Array.from({ length: 5000 }, (_, place) => `x-${place}: y`)), status: 431 },
  { name: "an expectation", bytes: call("expect: 200-ok"), status: 417 },
];

/** Behind each of them: whoever takes the first for shorter than it is would serve this. */
const behind = `${call("content-length: 1", "connection: close")}x`;

/** One status line, the connection's end, and nothing of the next request: else two were read where there was one. */
function isRefused({ statuses, closed }: Answered, status = 400): boolean {
  return statuses.length === 1 && statuses[0] === status && closed;
}

async function refuseAll(arena: Arena, cases: readonly Smuggled[]): Promise<Verdict> {
  const parts = await Promise.all(
    cases.map(async ({ name, bytes, status }): Promise<readonly [string, Verdict]> => {
      const answered = await askHttp1(arena, bytes + behind);
      const { statuses, closed } = answered;
      return [name, verdict(isRefused(answered, status), `HTTP ${statuses.join()}${closed ? "" : ", left open"}`)];
    }),
  );
  return together(parts);
}

/** Requests at once, with bodies in both forms, are as many calls. */
async function oneByOne(arena: Arena): Promise<Verdict> {
  const first = `${call("content-length: 3")}abc`;
  const second = `${chunked}1\r\nd\r\n2\r\nef\r\n0\r\n\r\n`;
  const body = head("GET /checks.Echo/Unary HTTP/1.1", "host: echo", "content-length: 2");
  const { statuses, closed, text } = await askHttp1(arena, `${first}${second}${body}{}${behind}`);
  const calls = arena.upstream.seen.map(({ stream }) => Buffer.concat(stream.body).subarray(5).toString());
  const seen = `HTTP ${statuses.join()}${closed ? "" : ", left open"}; the application saw ${calls.join()}`;
  const isRight = statuses.join() === "200,200,405,200" && calls.join() === "abc,def,x" && text.includes("def");
  return verdict(isRight && closed, seen);
}

/** The head of a call goes on before its body has come: a broken chunk ends that call, and no other begins. */
async function breakAll(arena: Arena, cases: readonly Smuggled[]): Promise<Verdict> {
  const refused = await refuseAll(arena, cases);
  await pause(200);
  const { seen, openCalls } = arena.upstream;
  const whole = seen.filter(({ stream }) => stream.ended).length;
  const told = `the application saw ${seen.length} begin, ${whole} whole, ${openCalls} left open`;
  return together([
    ["answers", refused],
    ["afterwards", verdict(whole === 0 && openCalls === 0 && seen.length <= cases.length, told)],
  ]);
}

const smuggling = (what: string, cases: readonly Smuggled[]): Check => ({
  row: 45,
  name: `HTTP/1.1 smuggling: ${what} (${cases.length})`,
  untouched: true,
  run: (arena) => refuseAll(arena, cases),
});

export const edgeHttp1: readonly Check[] = [
  smuggling("lengths", lengths),
  { row: 45, name: `HTTP/1.1 smuggling: chunks (${chunks.length})`, run: (arena) => breakAll(arena, chunks) },
  smuggling("fields", fields),
  smuggling("targets", targets),
  smuggling("hosts", hosts),
  smuggling("upgrades", upgrades),
  smuggling("sizes", sizes),
  { row: 45, name: "HTTP/1.1: four requests at once are four", run: oneByOne },
];
