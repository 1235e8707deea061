/** One listener of a gateway: the methods that it exposes, the protocols that it speaks, and who may call. */
import { renderDuration } from "../../duration.js";
import { isMethodPattern } from "../../snapshot/grammar.js";
import { onlyTrue } from "../amounts.js";
import { list, textSet } from "../list.js";
import { label } from "../names.js";
import { rate } from "../rate-limit/rate.js";
import { maybe, optional, type RecordOf, record, required } from "../record.js";
import { duration, text, wholeNumber } from "../types.js";

/** The protocols that outside clients may speak. */
const edgeProtocols = ["connect", "grpc", "grpc-web"] as const;
export type EdgeProtocol = (typeof edgeProtocols)[number];

export function isEdgeProtocol(text: string): text is EdgeProtocol {
  return edgeProtocols.some((known) => known === text);
}

const protocol = text({
  expected: '"grpc", "grpc-web" or "connect"',
  pattern: `^(${edgeProtocols.join("|")})$`,
  valid: isEdgeProtocol,
});

// "*" would not say which service gets a call
const exposedMethod = text({
  expected: 'a method or "package.Service/*"',
  pattern: "^[A-Za-z_][\\w.]*/(\\*|[A-Za-z_]\\w*)$",
  valid: (method) => method !== "*" && isMethodPattern(method),
  hint: (method) => (method === "*" ? "name what is exposed: nothing else exists outside" : ""),
});

const exposedFields = {
  service: required(1, label, "", "The service that gets the calls."),
  methods: required(
    2,
    textSet(exposedMethod, { whenEmpty: "name what is exposed", neverEmpty: true }),
    [],
    "What exists outside: methods, or package.Service/*.",
  ),
};

export interface Exposed extends RecordOf<typeof exposedFields> {}

const callersFields = {
  anyone: maybe(1, onlyTrue, "Anybody, without any proof."),
  token: maybe(
    2,
    textSet(label, { whenEmpty: "name issuers, or leave it out", neverEmpty: true }),
    "Whoever brings a valid token of one of these JwtIssuers.",
  ),
  certificate: maybe(3, onlyTrue, "Whoever proves a certificate of the CAs of `--client-ca`; with token: both."),
};

export interface EdgeCallers extends RecordOf<typeof callersFields> {}

function whyNotCallers({ anyone, token, certificate }: EdgeCallers): string | undefined {
  if (anyone === true)
    return token === undefined && certificate === undefined ? undefined : "anyone needs no token and no certificate";
  return token === undefined && certificate === undefined ? "say anyone, token or certificate" : undefined;
}

const callers = record("callers", callersFields, {
  why: (value) => whyNotCallers(value),
  refine(found, field, reading) {
    const why = whyNotCallers(found);
    const place = reading.places.get(field);
    if (why !== undefined && place !== undefined) reading.report(place, why);
    return found;
  },
});

const dayMs = 24 * 3_600_000;

const corsFields = {
  maxAgeMs: optional(
    1,
    duration({
      bounds: `at most ${renderDuration(dayMs)}`,
      msMin: 1000,
      msMax: dayMs,
      whenShort: "1s is the shortest",
    }),
    3_600_000,
    "For so long a browser need not ask again.",
    { name: "maxAge" },
  ),
};

export interface Cors extends RecordOf<typeof corsFields> {}

const count = wholeNumber(1, 1_000_000);

const limitsFields = {
  connectionsPerAddress: maybe(1, count, "Open connections of one address (IPv6: of one /64); left out: 100."),
  callsPerAddress: maybe(2, rate, "Calls of one address."),
  callsPerToken: maybe(3, rate, "Calls with one token, whatever the address."),
  handshakesPerAddress: maybe(4, rate, "New connections of one address; left out: 50/s."),
  messageKib: maybe(5, wholeNumber(1, 1_048_576), "KiB of one message; left out: 4096."),
  kibPerAddress: maybe(6, rate, "KiB of messages, both ways, of the calls of one address."),
  kibPerToken: maybe(7, rate, "KiB of messages, both ways, of the calls with one token, whatever the address."),
  connections: maybe(8, count, "Open connections of all addresses; left out, and at most: 4096 in each process."),
  handshakes: maybe(9, rate, "New connections of all addresses; left out: any number."),
  headerKib: maybe(
    10,
    wholeNumber(1, 1024),
    "KiB of header fields of one request; left out, and at most: `--header-kib`.",
  ),
};

export interface EdgeLimits extends RecordOf<typeof limitsFields> {}

const fields = {
  name: required(1, label, "", "Unique in the gateway; `ashlar gateway --listener NAME=HOST:PORT` opens it."),
  protocols: optional(
    2,
    textSet(protocol, { whenEmpty: "name protocols, or leave it out for grpc", neverEmpty: true }),
    ["grpc"],
    "How clients speak: grpc, grpc-web (browsers) and connect (browsers, curl).",
  ),
  expose: required(
    3,
    list(record("a service and its methods", exposedFields), {
      whenEmpty: "a listener that exposes nothing has no use",
      neverEmpty: true,
      sortBy: ({ service }) => service,
    }),
    [],
    "What exists outside, by service.",
  ),
  callers: required(4, callers, { anyone: true }, "Who may use it; each service's Authorization decides as well."),
  cors: maybe(
    5,
    record("cors", corsFields),
    "Pages of the origins of `--origin` may call; left out: no other page may.",
  ),
  limits: maybe(
    6,
    record("limits of a listener", limitsFields),
    "How much one address, one token, and all clients of the listener may take.",
  ),
};

export interface EdgeListener extends RecordOf<typeof fields> {}

export const listener = record("a listener", fields);
