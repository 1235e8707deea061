/** Rows 15 to 19: malformed requests. One connection each, so that no answer hides behind another. */

import { data, type Field, headers, message, request } from "../../support/wire.js";
import { type Arena, type Check, call, finished, newId, outcome, together, type Verdict, verdict } from "../check.js";
import { pause } from "../child.js";

const path = "/checks.Echo/Unary";
const malformed = /^RST_STREAM\(PROTOCOL_ERROR\)$/;

interface Case {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly wanted?: RegExp;
  readonly body?: Buffer;
  readonly trailers?: readonly Field[];
}

/** Each case on its own; the recording upstream must have seen none of them, nor a call left open. */
async function refuseAll(arena: Arena, cases: readonly Case[]): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const { name, fields, wanted = malformed, body = message("x"), trailers } of cases) {
    const peer = await arena.connect();
    const id = newId();
    const stream = peer.stream(id);
    const end =
      trailers === undefined ? [data(id, body, true)] : [data(id, body), headers(id, trailers, { endStream: true })];
    peer.send(headers(id, fields), ...end);
    await finished(peer, stream, 3000);
    const seen = outcome(peer, stream);
    parts.push([name, verdict(wanted.test(seen), seen)]);
    peer.close();
  }
  await pause(100);
  if (arena.upstream.openCalls > 0)
    parts.push(["afterwards", verdict(false, `${arena.upstream.openCalls} calls open upstream`)]);
  return together(parts);
}

const notServed = /^(RST_STREAM\(PROTOCOL_ERROR\)|grpc-status (7|12))$/;
const paths = [
  "checks.Echo/Unary",
  "//checks.Echo/Unary",
  "/checks.Echo//Unary",
  "/./checks.Echo/Unary",
  "/x/../checks.Echo/Unary",
  "/checks.Echo/./Unary",
  "/checks.Echo%2fUnary",
  "/checks.Echo%2FUnary",
  "/checks%2eEcho/Unary",
  "\\checks.Echo\\Unary",
  "/checks.Echo\\Unary",
  "/checks.Echo/Unary#x",
  "/checks.Echo/Unary?x=1",
  "/checks.Echo/Unary;a=b",
  "*",
  "/*",
  "/checks.Echo/Unary.",
  "/checks.Echo/Unary/",
  "/checks.Echo./Unary",
  "/checks.Echo/Unary\0",
  "/CHECKS.ECHO/UNARY",
  "/checks.Echo/unary",
  "/checks.Echo/Unary ",
  "",
  "/",
  "/checks.Echo",
  "http://echo/checks.Echo/Unary",
  "/checks.Echo/Unary\xe9",
];

const plain: readonly Field[] = request(path);
const withField = (name: string, value: string): readonly Field[] => [...plain, [name, value]];
const replaced = (fields: Readonly<Record<string, string>>) => request(path, fields);
const without = (name: string) => plain.filter(([one]) => one !== name);
const twice = (name: string) => plain.flatMap((field) => (field[0] === name ? [field, field] : [field]));

const smuggled: readonly Case[] = [
  { name: "CR", fields: withField("x-a", "a\rb") },
  { name: "LF", fields: withField("x-a", "a\nb") },
  { name: "CRLF and a field", fields: withField("x-a", "a\r\nashlar-caller: admin") },
  { name: "NUL", fields: withField("x-a", "a\0b") },
  { name: "upper case name", fields: withField("X-A", "b") },
  { name: "one upper case letter", fields: withField("x-Abc", "b") },
  { name: "empty name", fields: withField("", "b") },
  { name: "space in name", fields: withField("x a", "b") },
  { name: "colon in name", fields: withField("x:a", "b") },
  { name: "CRLF in name", fields: withField("x-a: b\r\nx-b", "b") },
  { name: "NUL in name", fields: withField("x\0a", "b") },
  { name: "0x80 in name", fields: withField("x\x80a", "b") },
  { name: "LF in :path", fields: replaced({ ":path": `${path}\n` }) },
  { name: "LF in :authority", fields: replaced({ ":authority": "echo\nx" }) },
];

async function obsText(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  const stream = await call(peer, [...plain, ["x-odd", "caf\xe9"], ["x-kept", "b"]]);
  const seen = arena.upstream.seen[0]?.stream;
  const odd = seen?.value("x-odd");
  const told = `${outcome(peer, stream)}; upstream: x-odd ${odd ?? "absent"}, x-kept ${seen?.value("x-kept")}`;
  return verdict(outcome(peer, stream) === "grpc-status 0" && odd === undefined && seen?.value("x-kept") === "b", told);
}

/** Spaces around a value are no part of it; what is judged and what is sent on is the rest. */
async function spaces(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const odd of [" b", "b ", "\tb", " \tb c\t ", "   "]) {
    arena.upstream.forget();
    const peer = await arena.connect();
    const stream = await call(peer, withField("x-a", odd));
    const got = arena.upstream.seen[0]?.stream.value("x-a");
    const seen = `${outcome(peer, stream)}, upstream got ${JSON.stringify(got)}`;
    parts.push([JSON.stringify(odd), verdict(outcome(peer, stream) === "grpc-status 0" && got === odd.trim(), seen)]);
    peer.close();
  }
  return together(parts);
}

const pseudo: readonly Case[] = [
  ...[":method", ":scheme", ":path", ":authority"].map((name) => ({ name: `two ${name}`, fields: twice(name) })),
  ...[":method", ":scheme", ":path"].map((name) => ({ name: `no ${name}`, fields: without(name) })),
  { name: "late :path", fields: [...without(":path"), [":path", path]] },
  { name: "unknown :x", fields: [[":x", "y"], ...plain] },
  { name: ":status", fields: [[":status", "200"], ...plain] },
  {
    name: ":protocol",
    fields: [[":protocol", "websocket"], ...plain],
    wanted: /^(RST_STREAM|GOAWAY)\(PROTOCOL_ERROR\)$/,
  },
  { name: "in trailers", fields: plain, trailers: [[":path", path]] },
  { name: ":scheme ftp", fields: replaced({ ":scheme": "ftp" }) },
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"].map((name) => ({
    name,
    fields: withField(name, name === "transfer-encoding" ? "chunked" : "x"),
  })),
  { name: "te: gzip", fields: replaced({ te: "gzip" }) },
  { name: "te: trailers, gzip", fields: replaced({ te: "trailers, gzip" }) },
  { name: "connection in trailers", fields: plain, trailers: [["connection", "close"]] },
  { name: "upper case in trailers", fields: plain, trailers: [["X-A", "b"]] },
];

const refusedAuthority = /^(RST_STREAM\(PROTOCOL_ERROR\)|HTTP 400|grpc-status 13)$/;
const authorities: readonly Case[] = [
  { name: "host differs", fields: withField("host", "other"), wanted: refusedAuthority },
  { name: "two hosts", fields: [...withField("host", "echo"), ["host", "echo"]], wanted: refusedAuthority },
  { name: "userinfo", fields: replaced({ ":authority": "user@echo" }), wanted: refusedAuthority },
  { name: "space", fields: replaced({ ":authority": "echo x" }), wanted: refusedAuthority },
  { name: "two ports", fields: replaced({ ":authority": "echo:1:2" }), wanted: refusedAuthority },
  { name: "path", fields: replaced({ ":authority": "echo/x" }), wanted: refusedAuthority },
  { name: "list", fields: replaced({ ":authority": "echo,other" }), wanted: refusedAuthority },
  { name: "empty", fields: replaced({ ":authority": "" }), wanted: refusedAuthority },
  { name: "NUL", fields: replaced({ ":authority": "echo\0" }), wanted: refusedAuthority },
  { name: "two trailing dots", fields: replaced({ ":authority": "echo.." }), wanted: refusedAuthority },
];

async function sameAuthority(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  const spellings: readonly (readonly [string, readonly Field[]])[] = [
    ["ECHO", replaced({ ":authority": "ECHO" })],
    ["echo.", replaced({ ":authority": "echo." })],
    ["same host", withField("host", "echo")],
    ["host only", [...without(":authority"), ["host", "echo"]]],
  ];
  for (const [name, fields] of spellings) {
    arena.upstream.forget();
    const peer = await arena.connect();
    const seen = outcome(peer, await call(peer, fields));
    const stream = arena.upstream.seen[0]?.stream;
    const got = `${stream?.value(":authority")}${stream?.value("host") === undefined ? "" : " and host"}`;
    const refused = refusedAuthority.test(seen) && arena.upstream.seen.length === 0;
    parts.push([
      name,
      verdict(refused || (seen === "grpc-status 0" && got === "echo"), `${seen}, upstream got ${got}`),
    ]);
  }
  return together(parts);
}

const lengths: readonly Case[] = [
  { name: "more than said", fields: withField("content-length", "3") },
  { name: "less than said", fields: withField("content-length", "9") },
  { name: "repeated", fields: [...withField("content-length", "6"), ["content-length", "6"]] },
  { name: "+6", fields: withField("content-length", "+6") },
  { name: "empty", fields: withField("content-length", "") },
  { name: "6,6", fields: withField("content-length", "6,6") },
  { name: "0x6", fields: withField("content-length", "0x6") },
  { name: "2^64+6", fields: withField("content-length", "18446744073709551622") },
];

/** The head may reach the upstream before the mismatch shows; then its call must be cancelled. */
async function lengthMismatch(arena: Arena): Promise<Verdict> {
  const first = await refuseAll(arena, lengths);
  const peer = await arena.connect();
  const id = newId();
  peer.send(headers(id, withField("content-length", "5"), { endStream: true }));
  const stream = peer.stream(id);
  await finished(peer, stream, 3000);
  await pause(100);
  const ended = arena.upstream.seen.filter(({ stream: one }) => one.ended).length;
  const told = `${outcome(peer, stream)}, ${ended} completed and ${arena.upstream.openCalls} left open upstream`;
  const second = verdict(malformed.test(outcome(peer, stream)) && ended === 0 && arena.upstream.openCalls === 0, told);
  return together([
    ["content-length", first],
    ["END_STREAM with length 5", second],
  ]);
}

const timeouts = ["", "1", "S", "123456789S", "-1S", "1.5S", "1s", "1 S", "0x1S"];

export const messages: readonly Check[] = [
  {
    row: 15,
    name: `path mutants (${paths.length})`,
    untouched: true,
    run: (arena) =>
      refuseAll(
        arena,
        paths.map((one) => ({ name: JSON.stringify(one), fields: replaced({ ":path": one }), wanted: notServed })),
      ),
  },
  {
    row: 16,
    name: `header smuggling (${smuggled.length})`,
    untouched: true,
    run: (arena) => refuseAll(arena, smuggled),
  },
  { row: 16, name: "spaces around values are stripped", counted: false, run: spaces },
  { row: 16, name: "values beyond ASCII are dropped", counted: false, run: obsText },
  {
    row: 17,
    name: `pseudo and connection headers (${pseudo.length})`,
    untouched: false,
    // whoever passes an outside client on may have taken its request without TLS
    run: (arena) =>
      refuseAll(
        arena,
        arena.target === "gateway"
          ? pseudo
          : [...pseudo, { name: ":scheme http", fields: replaced({ ":scheme": "http" }) }],
      ),
  },
  {
    row: 18,
    name: `authority confusion (${authorities.length})`,
    untouched: true,
    run: (arena) => refuseAll(arena, authorities),
  },
  { row: 18, name: "spellings of one authority", counted: false, run: sameAuthority },
  { row: 19, name: "length mismatch", run: lengthMismatch },
  {
    row: 19,
    name: `grpc-timeout malformed (${timeouts.length})`,
    untouched: true,
    run: (arena) =>
      refuseAll(
        arena,
        timeouts.map((one) => ({
          name: JSON.stringify(one),
          fields: withField("grpc-timeout", one),
          wanted: /^(RST_STREAM\(PROTOCOL_ERROR\)|HTTP 400|grpc-status 13)$/,
        })),
      ),
  },
];
