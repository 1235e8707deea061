import { expect, test } from "@jest/globals";
import { type BadRequest, type Http1Head, parseHead } from "../../../data-plane/edge/http1/request-head.js";
import { RequestReader } from "../../../data-plane/edge/http1/request-reader.js";
import { drawsOf } from "../../support/seeded-draws.js";

const limits = { headBytesMax: 4096, fieldsMax: 20 };

interface Seen {
  readonly heads: Http1Head[];
  readonly bodies: string[];
  readonly bad: BadRequest[];
}

/** Reads `text` in pieces that end at `cuts`, answering each request as soon as it is whole. */
function read(text: string, cuts: readonly number[] = []): Seen {
  const seen: Seen = { heads: [], bodies: [], bad: [] };
  let body = "";
  let isWhole = false;
  const reader = new RequestReader(
    {
      onHead: (head) => void seen.heads.push(head),
      onBody: (bytes, start, end, ended) => {
        body += Buffer.from(bytes.subarray(start, end)).toString("latin1");
        if (!ended) return;
        seen.bodies.push(body);
        body = "";
        isWhole = true;
      },
      onBad: (bad) => void seen.bad.push(bad),
    },
    limits,
  );
  const bytes = Buffer.from(text, "latin1");
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    reader.read(bytes, at, cut);
    at = cut;
    while (isWhole) {
      isWhole = false;
      reader.next();
    }
  }
  return seen;
}

const lines = (...all: readonly string[]): string => `${all.join("\r\n")}\r\n\r\n`;
const host = "host: shop.example";
const post = "POST /a.B/C HTTP/1.1";

test("requests come out as they went in, however their bytes are cut", () => {
  const text = [
    lines(post, "Host: Shop.Example:443", "Content-Length: 5", "X-One:  a b\t", "connection: keep-alive, TE"),
    "hello",
    lines(post, host, "transfer-encoding: chunked", "expect: 100-continue"),
    "3\r\nabc\r\n00000A\r\n0123456789\r\n0\r\n\r\n",
    lines("GET /a.B/C?x=1 HTTP/1.1", host, "connection: close"),
  ].join("");
  const whole = read(text);
  expect(whole.bad).toEqual([]);
  expect(whole.bodies).toEqual(["hello", "abc0123456789", ""]);
  expect(whole.heads[0]).toEqual({
    ...{ method: "POST", target: "/a.B/C", host: "shop.example:443", body: 5 },
    headers: [["x-one", "a b"]],
    ...{ isExpecting: false, isLast: false },
  });
  expect(whole.heads.map(({ isLast, isExpecting }) => [isLast, isExpecting])).toEqual([
    [false, false],
    [false, true],
    [true, false],
  ]);
  const draws = drawsOf(7);
  for (let round = 0; round < 300; round++) {
    const cuts = Array.from({ length: 12 }, () => Math.floor(draws() * (text.length + 1))).sort((a, b) => a - b);
    expect(read(text, cuts)).toEqual(whole);
  }
  expect(
    read(
      text,
      Array.from({ length: text.length }, (_, at) => at),
    ),
  ).toEqual(whole);
});

const long = "x".repeat(5000);
for (const [what, text, status] of [
  ["both lengths", lines(post, host, "content-length: 3", "transfer-encoding: chunked"), 400],
  ["two lengths", lines(post, host, "content-length: 3", "content-length: 3"), 400],
  ["a list of lengths", lines(post, host, "content-length: 3, 3"), 400],
  ["a signed length", lines(post, host, "content-length: +3"), 400],
  ["a hexadecimal length", lines(post, host, "content-length: 0x3"), 400],
  ["another coding", lines(post, host, "transfer-encoding: gzip, chunked"), 501],
  ["a coding with a tab in it", lines(post, host, "transfer-encoding: \x0bchunked"), 400],
  ["two codings", lines(post, host, "transfer-encoding: chunked", "transfer-encoding: identity"), 501],
  ["a field that goes on in the next line", lines(post, host, "x: a", " b"), 400],
  ["a space before the colon", lines(post, host, "content-length : 3"), 400],
  ["a field without a name", lines(post, host, ": 3"), 400],
  ["a bare line feed", lines(post, `${host}\ncontent-length: 3`), 400],
  ["a bare carriage return", lines(post, `${host}\rx: y`), 400],
  ["a null byte", lines(post, host, "x: a\0b"), 400],
  ["no host", lines(post, "x: y"), 400],
  ["two hosts", lines(post, host, host), 400],
  ["a host with a user", lines(post, "host: a@shop.example"), 400],
  ["an absolute target", lines("POST http://shop.example/a.B/C HTTP/1.1", host), 400],
  ["an authority as target", lines("CONNECT shop.example:443 HTTP/1.1", host), 400],
  ["a star as target", lines("OPTIONS * HTTP/1.1", host), 400],
  ["a space in the target", lines("POST /a b HTTP/1.1", host), 400],
  ["a method in small letters", lines("post /a.B/C HTTP/1.1", host), 400],
  [
    "an upgrade to h2c",
    lines(post, host, "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AA"),
    400,
  ],
  ["HTTP/1.0", lines("POST /a.B/C HTTP/1.0", host), 505],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
  ["connection naming a header", lines(post, host, "connection: authorization"), 400],
  ["trailers announced", lines(post, host, "transfer-encoding: chunked", "trailer: x"), 400],
  ["another expectation", lines(post, host, "expect: more"), 417],
  ["a long head", lines(post, host, `x: ${long}`), 431],
  ["a long head without an end", `${post}\r\nx: ${long}`, 431],
  ["many fields", lines(post, host, ...Array.from({ length: 30 }, (_, at) => `x-${at}: y`)), 431],
] as const)
  test(`refused: ${what}`, () => {
    const seen = read(text);
    expect(seen.bad.map((bad) => bad.status)).toEqual([status]);
    expect([seen.heads, seen.bodies]).toEqual([[], []]);
  });

for (const [what, body] of [
  ["an extension", "3;a=b\r\nabc\r\n0\r\n\r\n"],
  ["an extension on the last chunk", "0;a\r\n\r\n"],
  ["a trailer field", "0\r\nx: y\r\n\r\n"],
  ["a space after the length", "3 \r\nabc\r\n0\r\n\r\n"],
  ["a bare line feed", "3\nabc\r\n0\r\n\r\n"],
  ["a length that is too short", "2\r\nabc\r\n0\r\n\r\n"],
  ["a length without end", "000000000000000000000000003\r\nabc\r\n"],
  ["a sign", "+3\r\nabc\r\n0\r\n\r\n"],
  ["no length", "\r\nabc\r\n0\r\n\r\n"],
] as const)
  test(`refused in chunks: ${what}`, () => {
    const seen = read(`${lines(post, host, "transfer-encoding: chunked")}${body}`);
    expect([seen.bad.map(({ status }) => status), seen.bodies]).toEqual([[400], []]);
  });

test("nothing is read after what was refused", () => {
  const bad = lines(post, host, "content-length: 1", "transfer-encoding: chunked");
  expect(read(`${bad}0\r\n\r\n${lines("GET / HTTP/1.1", host)}`).heads).toEqual([]);
});

test("much white space in a field takes time that grows with its length alone", () => {
  const spaces = " \t".repeat(30_000);
  const fromMs = performance.now();
  const parsed = (field: string) => parseHead([post, host, field].join("\r\n"), 20);
  expect(parsed(`x:${spaces}a${spaces}b${spaces}`)).toMatchObject({ headers: [["x", `a${spaces}b`]] });
  expect(parsed(`x:${spaces}`)).toMatchObject({ headers: [["x", ""]] });
  expect(parsed("x: \xa0a\xa0 ")).toMatchObject({ headers: [["x", "\xa0a\xa0"]] });
  for (const field of [`x:${spaces}\x01`, `x:a${spaces}\x01`]) expect(parsed(field)).toMatchObject({ status: 400 });
  expect(performance.now() - fromMs).toBeLessThan(1000); // it took seconds
});
