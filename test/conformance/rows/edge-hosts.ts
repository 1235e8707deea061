/** Rows 46 and 47: who a request is for, and which page it comes from. */
import { message, request } from "../../support/wire.js";
import { type Arena, type Check, call, outcome, together, type Verdict, verdict } from "../check.js";
import { hosts, trustedOrigin } from "../gateway.js";
import { askHttp1 } from "../http1.js";

const path = "/checks.Echo/Unary";
const noHandshake = "no handshake";

interface Asked {
  readonly servername: string | undefined;
  readonly host: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

/** One way to ask for the same call; returns HTTP's status, "served" or "no handshake". */
type Form = (arena: Arena, asked: Asked) => Promise<string>;

const withHost = (servername: string | undefined) => (servername === undefined ? {} : { servername });

async function overHttp2(arena: Arena, { servername, host, headers, method }: Asked, type: string): Promise<string> {
  const peer = await arena.connectListener("hosts", withHost(servername));
  const fields = request(path, {
    ...{ ":authority": host, "content-type": type, ":method": method ?? "POST" },
    ...headers,
  });
  const stream = await call(peer, fields, { body: type === "application/grpc" ? message("x") : Buffer.from("x") });
  const seen = outcome(peer, stream);
  const allowed = stream.fields.filter(([name]) => name.startsWith("access-control")).map(([name]) => name);
  peer.close();
  const status = stream.value(":status") ?? "";
  if (allowed.length > 0 && status !== "200") return `HTTP ${status} with ${allowed.join()}`;
  if (seen === "grpc-status 0" || (type !== "application/grpc" && status === "200")) return "served";
  return status === "" ? seen : `HTTP ${status}`;
}

async function overHttp1(arena: Arena, { servername, host, headers, method = "POST" }: Asked): Promise<string> {
  const lines = Object.entries({ host, "content-type": "application/proto", ...headers });
  const head = [`${method} ${path} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`)];
  const text = `${[...head, "content-length: 1", "connection: close"].join("\r\n")}\r\n\r\nx`;
  const { statuses, text: answer } = await askHttp1(arena, text, { listener: "hosts", ...withHost(servername) });
  const [status] = statuses;
  const allowed = /access-control-[a-z-]+/i.exec(answer)?.[0];
  if (allowed !== undefined && status !== 200) return `HTTP ${status} with ${allowed}`;
  return status === 200 ? "served" : `HTTP ${status}`;
}

const forms: readonly (readonly [string, Form])[] = [
  ["gRPC", (arena, asked) => overHttp2(arena, asked, "application/grpc")],
  ["Connect, HTTP/2", (arena, asked) => overHttp2(arena, asked, "application/proto")],
  ["gRPC-Web, HTTP/2", (arena, asked) => overHttp2(arena, asked, "application/grpc-web")],
  ["Connect, HTTP/1.1", overHttp1],
];

async function each(
  arena: Arena,
  chosen: readonly (readonly [string, Form])[],
  asks: readonly (readonly [string, Asked, wanted: string])[],
): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const [name, asked, wanted] of asks) {
    for (const [form, ask] of chosen) {
      const seen = await ask(arena, asked).catch(() => noHandshake);
      parts.push([`${name}, ${form}`, verdict(seen === wanted, seen)]);
    }
  }
  return together(parts);
}

const { first, second, unlisted } = hosts;
const other = "other.example";
const misdirected = "HTTP 421";

/** Certificate: first, second and unlisted; listed: first and second. */
const wrongHosts: readonly (readonly [string, Asked, string])[] = [
  ["wrong host", { servername: first, host: other }, misdirected],
  ["wrong host, no name asked for", { servername: undefined, host: other }, misdirected],
  ["a host that is not listed", { servername: unlisted, host: unlisted }, misdirected],
  ["a host below a listed one", { servername: first, host: `x.${first}` }, misdirected],
  ["wrong name in the handshake", { servername: other, host: first }, noHandshake],
  ["both wrong, and different", { servername: other, host: "third.example" }, noHandshake],
  ["both of the certificate, the host not listed", { servername: first, host: unlisted }, misdirected],
];

const rightHosts: readonly (readonly [string, Asked, string])[] = [
  ["the same", { servername: first, host: first }, "served"],
  ["another of the certificate, with a port", { servername: first, host: `${second}:443` }, "served"],
  ["upper case", { servername: first, host: first.toUpperCase() }, "served"],
  ["no name asked for", { servername: undefined, host: second }, "served"],
];

const ofPage = (origin: string, headers: Readonly<Record<string, string>> = {}): Asked => ({
  ...{ servername: first, host: first },
  headers: { origin, ...headers },
});
const asksFirst = {
  "access-control-request-method": "POST",
  "access-control-request-headers": "content-type, x-own",
};
const strangers = [
  "https://evil.example",
  "null",
  `${trustedOrigin}.evil.example`,
  `${trustedOrigin}:8443`,
  trustedOrigin.replace("https", "http"),
  `http://${first}`,
  trustedOrigin.toUpperCase(),
  `${trustedOrigin}/`,
  "",
];

const foreignPages: readonly (readonly [string, Asked, string])[] = strangers.flatMap((origin) => [
  [`a call of ${JSON.stringify(origin)}`, ofPage(origin), "HTTP 403"] as const,
  [
    `a preflight of ${JSON.stringify(origin)}`,
    { ...ofPage(origin, asksFirst), method: "OPTIONS" },
    "HTTP 403",
  ] as const,
]);

const forPages = forms.filter(([form]) => form !== "gRPC");

export const edgeHosts: readonly Check[] = [
  {
    row: 46,
    name: `wrong host, wrong name in the handshake, both (${wrongHosts.length})`,
    untouched: true,
    run: (arena) => each(arena, forms, wrongHosts),
  },
  { row: 46, name: "hosts of the listener", counted: false, run: (arena) => each(arena, forms, rightHosts) },
  {
    row: 47,
    name: `pages of other origins (${strangers.length}), calls and preflights`,
    untouched: true,
    run: (arena) => each(arena, forPages, foreignPages),
  },
  {
    row: 47,
    name: "pages of a listed origin, and of the own host",
    counted: false,
    run: (arena) =>
      each(arena, forPages, [
        ["listed", ofPage(trustedOrigin), "served"],
        ["own", ofPage(`https://${first}`), "served"],
      ]),
  },
];
