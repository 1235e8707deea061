/**
 * What a call begins with, checked before anything is decided on it: no field is
 * repaired, a malformed head is refused as a whole (RFC 9113, 8.1.1).
 */
import { parseGrpcTimeoutMs } from "./grpc-timeout.js";

/** A field as it came: lower-case name and value. */
export type Field = readonly [name: string, value: string];

export interface RequestHead {
  /** "/package.Service/Method": the string that is authorized and routed (I5). */
  readonly path: string;
  /** "package.Service/Method". */
  readonly method: string;
  /** Lower case, without a trailing dot; may have a port. */
  readonly authority: string;
  /** undefined: the caller set no deadline. */
  readonly timeoutMs: number | undefined;
  /** In order, pseudo-headers and `te`, `host`, `grpc-timeout` left out. */
  readonly fields: readonly Field[];
}

export type HeadResult =
  | { readonly kind: "head"; readonly head: RequestHead }
  /** RST_STREAM(PROTOCOL_ERROR). */
  | { readonly kind: "malformed"; readonly why: string }
  /** HTTP 415. */
  | { readonly kind: "not-grpc" }
  /** HTTP 431. */
  | { readonly kind: "too-large" };

export const headBytesMax = 16 * 1024;
export const fieldsMax = 128;
const fieldOverheadBytes = 32; // RFC 9113, 6.5.2

const pathGrammar = /^\/[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\/[A-Za-z_]\w*$/;
const nameGrammar = /^[0-9a-z_.-]+$/; // gRPC over HTTP/2, "Header-Name"
const valueRefused = /[\0\r\n]|^[ \t]|[ \t]$/;
const obsText = /[^\0-\x7f]/;
const authorityGrammar = /^(\[[0-9a-f:.]+\]|[a-z0-9._~%!$&'()*+,;=-]+)(:\d{1,5})?$/;
const connectionHeaders = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);
/** Twice the same of these would leave open which one counts. */
const atMostOnce = new Set(["content-type", "content-length", "te", "host", "grpc-timeout", "grpc-encoding"]);
const grpcContentType = /^application\/grpc(\+[^;]*)?(;.*)?$/i;

interface Pseudo {
  method: string | undefined;
  scheme: string | undefined;
  path: string | undefined;
  authority: string | undefined;
}

/** What is gathered while the fields are walked once. */
interface Gathered {
  readonly pseudo: Pseudo;
  readonly once: Map<string, string>;
  readonly fields: Field[];
}

const malformed = (why: string): HeadResult => ({ kind: "malformed", why });

/**
 * Reads a request's header block, given as name, value, name, value, … in the order received.
 * `schemes` are those that fit the listener.
 */
export function parseRequestHead(raw: readonly string[], schemes: readonly string[]): HeadResult {
  if (raw.length / 2 > fieldsMax || bytesOf(raw) > headBytesMax) return { kind: "too-large" };
  const gathered: Gathered = {
    pseudo: { method: undefined, scheme: undefined, path: undefined, authority: undefined },
    once: new Map(),
    fields: [],
  };
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const why = gather(gathered, raw[index] ?? "", raw[index + 1] ?? "");
    if (why !== undefined) return malformed(why);
  }
  return build(gathered, schemes);
}

function bytesOf(raw: readonly string[]): number {
  let bytes = (raw.length / 2) * fieldOverheadBytes;
  for (const text of raw) bytes += text.length;
  return bytes;
}

/** Takes one field in; says why if the whole head is to be refused. */
function gather(into: Gathered, name: string, value: string): string | undefined {
  if (name.startsWith(":")) return gatherPseudo(into, name, value);
  if (!nameGrammar.test(name)) return `field name ${JSON.stringify(name.slice(0, 80))}`;
  if (valueRefused.test(value)) return `value of ${name}`;
  if (connectionHeaders.has(name)) return `connection-specific field ${name}`;
  if (atMostOnce.has(name)) {
    if (into.once.has(name)) return `${name} is repeated`;
    into.once.set(name, value);
    if (name === "te" || name === "host" || name === "grpc-timeout") return undefined;
  }
  // Legal in HTTP, of no meaning in gRPC: dropped here, so neither policy nor the application sees it.
  if (!obsText.test(value)) into.fields.push([name, value]);
  return undefined;
}

function gatherPseudo({ pseudo, fields, once }: Gathered, name: string, value: string): string | undefined {
  if (fields.length > 0 || once.size > 0) return `${name} after a regular field`;
  switch (name) {
    case ":method":
    case ":scheme":
    case ":path":
    case ":authority": {
      const key = name.slice(1) as keyof Pseudo;
      if (pseudo[key] !== undefined) return `${name} is repeated`;
      pseudo[key] = value;
      return undefined;
    }
    default:
      return `pseudo-header ${JSON.stringify(name.slice(0, 80))}`;
  }
}

function build({ pseudo, once, fields }: Gathered, schemes: readonly string[]): HeadResult {
  const { method, scheme, path } = pseudo;
  if (method !== "POST") return malformed(":method is not POST");
  if (scheme === undefined || !schemes.includes(scheme)) return malformed(":scheme does not fit the listener");
  if (path === undefined || !pathGrammar.test(path)) return malformed(":path is not /package.Service/Method");
  const te = once.get("te");
  if (te !== undefined && te !== "trailers") return malformed("te is not trailers");
  const length = once.get("content-length");
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return malformed("content-length is not a number");
  const authority = findAuthority(pseudo.authority, once.get("host"));
  if (authority === undefined) return malformed(":authority and host");
  const timeout = once.get("grpc-timeout");
  const timeoutMs = timeout === undefined ? undefined : parseGrpcTimeoutMs(timeout);
  if (timeout !== undefined && timeoutMs === undefined) return malformed("grpc-timeout");
  if (!grpcContentType.test(once.get("content-type") ?? "")) return { kind: "not-grpc" };
  return { kind: "head", head: { path, method: path.slice(1), authority, timeoutMs, fields } };
}

/** The one name that is meant; undefined if there is none, or if two disagree. */
function findAuthority(authority: string | undefined, host: string | undefined): string | undefined {
  const name = authority === undefined ? undefined : normalise(authority);
  if (host === undefined) return name;
  const other = normalise(host);
  return authority === undefined || name === other ? other : undefined;
}

function normalise(text: string): string | undefined {
  const lower = text.toLowerCase();
  if (!authorityGrammar.test(lower)) return undefined;
  return lower.replace(/\.(?=:\d+$|$)/, "");
}

/** All values of `name`, joined with ","; undefined: there is none. */
export function joinFields(fields: readonly Field[], name: string): string | undefined {
  let joined: string | undefined;
  for (const field of fields) {
    if (field[0] === name) joined = joined === undefined ? field[1] : `${joined},${field[1]}`;
  }
  return joined;
}

/** The first value of `name`. */
export function findField(fields: readonly Field[], name: string): string | undefined {
  return fields.find((field) => field[0] === name)?.[1];
}
