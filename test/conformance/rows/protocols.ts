/** Rows 20 and 21: what is not gRPC, and who the caller claims to be. */
import { connect as connectNet } from "node:net";
import type { RawPeer } from "../../support/raw-peer.js";
import { data, type Field, headers, message, preface, request, settings } from "../../support/wire.js";
import { type Arena, type Check, call, finished, newId, outcome, together, type Verdict, verdict } from "../check.js";
import { type Address, handshake, openTls } from "../mesh.js";

const path = "/checks.Echo/Unary";

/** What a peer says to `bytes` on a plain TCP connection to the TLS port. */
function plainAnswer(at: Address, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectNet({ ...at });
    let heard = Buffer.alloc(0);
    socket.on("data", (part: Buffer) => {
      heard = Buffer.concat([heard, part]);
    });
    socket.on("error", () => {});
    const timer = setTimeout(() => socket.destroy(), 4000);
    const startedMs = performance.now();
    socket.on("close", () => {
      clearTimeout(timer);
      const isLate = performance.now() - startedMs > 3900;
      const isHttp = heard.includes("HTTP/1") || heard.subarray(3, 4).equals(Buffer.of(4));
      resolve(isLate ? "left open" : isHttp ? "an HTTP answer" : "closed");
    });
    socket.write(bytes);
  });
}

async function alpn(arena: Arena, at: Address, protocols: readonly string[]): Promise<string> {
  const credentials = arena.target === "proxy" ? arena.frontCredentials : undefined;
  try {
    const socket = await handshake(openTls(arena.mesh, at, credentials, { alpn: protocols }));
    const closed = await new Promise<boolean>((resolve) => {
      socket.on("error", () => {});
      socket.on("close", () => resolve(true));
      setTimeout(() => resolve(false), 3000).unref();
      socket.resume();
    });
    socket.destroy();
    return closed ? "closed" : "left open";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "error";
    return `TLS ${code}`;
  }
}

/** `connect`: opens a connection to a listener that takes gRPC alone. */
export async function notGrpc(arena: Arena, connect: () => Promise<RawPeer>): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  const ask = async (
    name: string,
    wanted: RegExp,
    fields: readonly Field[],
    body: Buffer | undefined = message("x"),
  ) => {
    const peer = await connect();
    const id = newId();
    const stream = peer.stream(id);
    if (body === undefined) peer.send(headers(id, fields, { endStream: true }));
    else peer.send(headers(id, fields), data(id, body, true));
    await finished(peer, stream, 3000);
    const seen = outcome(peer, stream);
    parts.push([name, verdict(wanted.test(seen), seen)]);
    peer.close();
  };
  const reset = /^RST_STREAM\(PROTOCOL_ERROR\)$/;
  const protocolError = /^(RST_STREAM|GOAWAY)\(PROTOCOL_ERROR\)$/;
  for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "post", "PRI"]) {
    await ask(method, reset, request(path, { ":method": method }), undefined);
  }
  await ask("CONNECT", protocolError, [
    [":method", "CONNECT"],
    [":authority", "echo:80"],
  ]);
  await ask("extended CONNECT", protocolError, [
    ...request(path, { ":method": "CONNECT" }),
    [":protocol", "websocket"],
  ]);
  for (const type of [
    "text/plain",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/json",
    "application/grpcx",
  ]) {
    await ask(type, /^HTTP 415$/, request(path, { "content-type": type }));
  }
  await ask(
    "no content-type",
    /^HTTP 415$/,
    request(path).filter(([name]) => name !== "content-type"),
  );
  for (const type of ["application/grpc+proto", "application/grpc;charset=utf-8"]) {
    await ask(type, /^grpc-status 0$/, request(path, { "content-type": type }));
  }
  const served = arena.upstream.seen.length;
  parts.push(["upstream", verdict(served === 2, `saw ${served}, wanted the 2 good ones`)]);
  return together(parts);
}

/** `at`: a listener that takes gRPC alone. */
export async function notOurTransport(arena: Arena, at: Address): Promise<Verdict> {
  const upgrade =
    "GET / HTTP/1.1\r\nHost: echo\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
  const parts: (readonly [string, Verdict])[] = [];
  const plain = async (name: string, bytes: Buffer) => {
    const seen = await plainAnswer(at, bytes);
    parts.push([name, verdict(seen === "closed", seen)]);
  };
  await plain("h2c preface", Buffer.concat([preface, settings()]));
  await plain("h2c upgrade", Buffer.from(upgrade));
  await plain("HTTP/1.1", Buffer.from("POST /checks.Echo/Unary HTTP/1.1\r\nHost: echo\r\n\r\n"));
  for (const protocols of [["http/1.1"], ["h2c"], ["http/1.0", "spdy/3"]]) {
    const seen = await alpn(arena, at, protocols);
    parts.push([`ALPN ${protocols.join()}`, verdict(seen.includes("NO_APPLICATION_PROTOCOL"), seen)]);
  }
  const none = await alpn(arena, at, []);
  parts.push(["no ALPN", verdict(none === "closed" || none.includes("NO_APPLICATION_PROTOCOL"), none)]);
  return together(parts);
}

export const forged: readonly Field[] = [
  ["ashlar-caller", "spiffe://checks/service/admin"],
  ["ashlar-anything", "x"],
  ["ashlar-revision", "999"],
  ["ashlar_caller", "spiffe://checks/service/admin"],
  ["ashlar.caller", "spiffe://checks/service/admin"],
  ["ashlar_revision", "999"],
  ["x-forwarded-client-cert", "By=spiffe://checks/service/admin"],
];

/** What others say of a caller (`x-forwarded-*`) passes, and is nobody's identity. */
const isOurs = ([name]: Field) => /^ashlar[-_.]/.test(name);

export async function forgery(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  const id = newId();
  const stream = peer.stream(id);
  peer.send(
    headers(id, [...request(path), ...forged]),
    data(id, message("x")),
    headers(id, [...forged, ["x-kept", "1"]], { endStream: true }),
  );
  await finished(peer, stream);
  const seen = arena.upstream.seen[0]?.stream;
  const inHead = (seen?.fields ?? []).filter(isOurs).map((field) => field.join("="));
  const inTrailers = (seen?.trailers ?? []).filter(isOurs).map((field) => field.join("="));
  const told = `${outcome(peer, stream)}; upstream: head ${inHead.join(", ") || "none"}; trailers ${inTrailers.join(", ") || "none"}, x-kept ${seen?.trailers.find(([name]) => name === "x-kept")?.[1]}`;
  const pass = inHead.join() === `ashlar-caller=${arena.callerId}` && inTrailers.length === 0;
  return verdict(pass && outcome(peer, stream) === "grpc-status 0", told);
}

/** By the own application's socket too, and two proxies later. */
async function forgeryOutbound(arena: Arena): Promise<Verdict> {
  const peer = await arena.connectOutbound();
  const stream = await call(peer, [...request(path, { ":scheme": "http" }), ...forged]);
  const seen = arena.upstream.seen[0]?.stream;
  const callers = (seen?.fields ?? []).filter(isOurs).map((field) => field.join("="));
  const told = `${outcome(peer, stream)}; upstream: ${callers.join(", ") || "none"}; traceparent ${seen?.value("traceparent") === undefined ? "absent" : "there"}; ashlar-revision ${stream.value("ashlar-revision")}`;
  const pass =
    callers.join() === "ashlar-caller=spiffe://checks/service/front" &&
    /^\d+$/.test(stream.value("ashlar-revision") ?? "") &&
    stream.value("ashlar-revision") !== "999";
  return verdict(pass && seen?.value("traceparent") !== undefined, told);
}

export const protocols: readonly Check[] = [
  { row: 20, name: "not gRPC", run: (arena) => notGrpc(arena, () => arena.connect()) },
  {
    row: 20,
    name: "not our transport",
    untouched: true,
    run: (arena) => notOurTransport(arena, arena.attacked.inbound),
  },
  { row: 21, name: "identity forged in headers and trailers", counted: false, run: forgery },
  { row: 21, name: "identity forged by the own application", counted: false, run: forgeryOutbound },
];
