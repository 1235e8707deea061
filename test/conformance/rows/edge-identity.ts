/** Row 21 at a gateway: what a client outside says of itself. */
import { data, type Field, headers, message, request } from "../../support/wire.js";
import { type Arena, type Check, finished, newId, outcome, type Verdict, verdict } from "../check.js";
import { askHttp1 } from "../http1.js";
import { forged, forgery } from "./protocols.js";

const outside: readonly Field[] = [
  ...forged,
  ["ashlar-client", "spiffe://partner/till"],
  ["x-forwarded-for", "10.9.9.9"],
  ["x-forwarded-host", "admin"],
];

/** What the application was told, without what every call has. */
function told(fields: readonly Field[]): string {
  const named = fields.filter(([name]) => /^(ashlar|x-forwarded)/.test(name)).map((field) => field.join("="));
  return named.sort().join(", ");
}

const wanted = "ashlar-caller=spiffe://checks/gateway/public, x-forwarded-for=127.0.0.1";

async function inEachProtocol(arena: Arena): Promise<Verdict> {
  const seen: string[] = [];
  const take = (what: string): void => {
    const heard = arena.upstream.seen[0]?.stream;
    seen.push(`${what}: ${heard === undefined ? "nothing" : told([...heard.fields, ...heard.trailers])}`);
    arena.upstream.forget();
  };
  const peer = await arena.connect();
  const types = ["application/grpc", "application/grpc-web", "application/proto"];
  for (const type of types) {
    const id = newId();
    const body = type === "application/proto" ? Buffer.from("x") : message("x");
    peer.send(
      headers(id, [...request("/checks.Echo/Unary", { "content-type": type }), ...outside]),
      data(id, body, true),
    );
    await finished(peer, peer.stream(id));
    take(`${type} ${outcome(peer, peer.stream(id))}`);
  }
  const lines = [["content-type", "application/proto"], ...outside].map(([name, value]) => `${name}: ${value}`);
  const head = ["POST /checks.Echo/Unary HTTP/1.1", "host: echo", ...lines, "content-length: 1", "connection: close"];
  const { statuses } = await askHttp1(arena, `${head.join("\r\n")}\r\n\r\nx`);
  take(`HTTP/1.1 ${statuses.join()}`);
  return verdict(seen.length === types.length + 1 && seen.every((one) => one.endsWith(`: ${wanted}`)), seen.join("; "));
}

export const edgeIdentity: readonly Check[] = [
  { row: 21, name: "identity forged in headers and trailers", counted: false, run: forgery },
  { row: 21, name: "identity forged in each protocol", counted: false, run: inEachProtocol },
];
