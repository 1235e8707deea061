/**
 * Parses the head of an HTTP/1.1 request (RFC 9112). Whatever two parsers could understand differently is refused: a
 * gateway does not need the rest of that grammar.
 */
import type { Header } from "../web/header.js";

/** The form of a request's body: a number of bytes, or chunks. */
export type BodyForm = number | "chunked";

export interface Http1Head {
  readonly method: string;
  /** Path and query, as they came. */
  readonly target: string;
  readonly host: string;
  /** Headers with names in lower case, without those about the connection. */
  readonly headers: readonly Header[];
  readonly body: BodyForm;
  /** The client waits for a 100 before it sends the body. */
  readonly isExpecting: boolean;
  /** The client wants no further request on this connection. */
  readonly isLast: boolean;
}

/** Why a request is refused. */
export interface BadRequest {
  readonly status: number;
  readonly why: string;
}

export const isBad = (head: Http1Head | BadRequest): head is BadRequest => "why" in head;

const requestLine = /^([A-Z]{1,16}) (\S+) HTTP\/(\d)\.(\d)$/;
const originForm = /^\/[\x21-\x7e]*$/;
/** No two parts can take the same characters: the time for a long field would grow with the square of its length. */
const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)$/;
const hostForm = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.-])?)(?::\d{1,5})?$/;
const length = /^\d{1,15}$/;
const ofConnection = new Set("connection keep-alive host content-length transfer-encoding expect".split(" "));
const bad = (why: string, status = 400): BadRequest => ({ status, why });

/** Parses a head without the empty line at its end. `text`: its bytes as Latin-1. */
export function parseHead(text: string, fieldsMax: number): Http1Head | BadRequest {
  const lines = text.split("\r\n");
  const line = requestLine.exec(lines[0] ?? "");
  if (/[\r\n\0]/.test(lines.join(""))) return bad("a line ends without CR and LF");
  if (line === null) return bad("the request line is malformed");
  const [, method = "", target = "", major, minor] = line;
  if (major !== "1" || minor !== "1") return bad("only HTTP/1.1 is spoken here", 505);
  if (!originForm.test(target)) return bad("the target is no path");
  if (lines.length - 1 > fieldsMax) return bad("there are too many header fields", 431);
  const headers: Header[] = [];
  for (const one of lines.slice(1)) {
    const [, name = "", value = ""] = field.exec(one) ?? [];
    if (name === "") return bad("a header field is malformed, or goes on in the next line");
    headers.push([name.toLowerCase(), withoutBlanks(value)]);
  }
  return readHead(method, target, headers);
}

/** Returns the value without the spaces and tabs around it. */
function withoutBlanks(value: string): string {
  let [start, end] = [0, value.length];
  while (start < end && isBlank(value.charCodeAt(start))) start++;
  while (end > start && isBlank(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

function readHead(method: string, target: string, headers: readonly Header[]): Http1Head | BadRequest {
  const all = (name: string): string[] => headers.flatMap(([one, value]) => (one === name ? [value] : []));
  const [host = "", ...hosts] = all("host").map((value) => value.toLowerCase());
  if (hosts.length > 0 || host.length > 255 || !hostForm.test(host)) return bad("there must be one host");
  for (const name of ["upgrade", "http2-settings", "proxy-connection", "trailer"])
    if (all(name).length > 0) return bad(`${name} is not taken`);
  const options = all("connection").flatMap((value) =>
    value
      .toLowerCase()
      .split(",")
      .map((one) => one.trim()),
  );
  if (options.some((one) => one !== "close" && one !== "keep-alive" && one !== "te"))
    return bad("connection names other header fields");
  const expected = all("expect");
  if (expected.some((one) => one.toLowerCase() !== "100-continue")) return bad("expect is not understood", 417);
  const body = bodyOf(all("content-length"), all("transfer-encoding"));
  if (typeof body === "object") return body;
  return {
    ...{ method, target, host, body },
    headers: headers.filter(([name]) => !ofConnection.has(name)),
    isExpecting: expected.length > 0,
    isLast: options.includes("close"),
  };
}

function bodyOf(lengths: readonly string[], codings: readonly string[]): BodyForm | BadRequest {
  if (codings.length > 0) {
    if (lengths.length > 0) return bad("there are content-length and transfer-encoding");
    return codings.length === 1 && codings[0]?.toLowerCase() === "chunked"
      ? "chunked"
      : bad("transfer-encoding is not chunked alone", 501);
  }
  const [first, ...more] = lengths;
  if (first === undefined) return 0;
  return more.length === 0 && length.test(first) ? Number(first) : bad("content-length is malformed");
}
