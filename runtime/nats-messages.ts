/** Converts messages and answers of the `nats` client to the types of bus.ts. */
import { type Msg, type MsgHdrs, NatsError } from "nats";
import { AshlarError, messageOf } from "../core/errors.js";
import type { AppendOptions, BusMessage, MessageOrigin, StoredMessage, StoredQuery } from "./bus.js";
import {
  firstValueOf,
  type HeaderBlock,
  lastValueOf,
  noHeaders,
  parseHeaderBlock,
  timesRelayed,
} from "./nats-headers.js";

const wrongLastSequence = 10071;
const streamNotFound = 10059;
const streamNameInUse = 10058;
const maxMessagesPerSubject = 10077; // "maximum messages per subject exceeded" and "maximum bytes exceeded" share it

interface ApiError {
  readonly code: number;
  readonly err_code?: number;
  readonly description?: string;
}

/** Turns a `not_found` error into undefined, and throws any other. */
export function absent(error: unknown): undefined {
  if (error instanceof AshlarError && error.code === "not_found") return undefined;
  throw error;
}

/** A message as it arrived, with its header block parsed strictly. */
export interface RawMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** The header block; undefined: it is malformed. A message without a block has an empty one. */
  readonly headers: HeaderBlock | undefined;
}

/** Private fields of the client's message: its bytes, the first `hdr` of which are the header block. */
interface ClientMessage {
  readonly _msg: { readonly hdr: number };
  readonly _rdata: Uint8Array | undefined;
}

/**
 * Copies the payload, because the client's buffer is larger and shared. Does not use the client's own parser, which may
 * throw.
 */
export function rawMessage(message: Msg): RawMessage {
  const { _msg, _rdata = new Uint8Array() } = message as unknown as ClientMessage;
  const length = Math.max(_msg.hdr, 0);
  const headers = length === 0 ? noHeaders : parseHeaderBlock(_rdata.subarray(0, length));
  return { subject: message.subject, data: _rdata.slice(length), headers };
}

/**
 * Returns a message for its reader. `answered`: the message is an answer, in which the server has added its fields
 * once.
 */
export function messageFrom({ subject, data, headers }: RawMessage, answered = false): BusMessage {
  const times = headers === undefined ? undefined : timesRelayed(headers);
  return {
    subject,
    data,
    header: (name) => headers && firstValueOf(headers, name),
    relayed: times !== (answered ? 1 : 0) || headers?.code !== 0, // only answers of a server have a code
    origin: headers && times === 1 ? originOf(headers) : undefined,
  };
}

const headerName = /^[!-9;-~]+$/;
const firstLine = "NATS/1.0\r\n";

/**
 * Header bytes in the form that the client's `publish` accepts. The client's own header class costs as much as signing
 * if values are long.
 */
class EncodedHeaders {
  readonly #bytes: Buffer;

  constructor(block: string) {
    this.#bytes = Buffer.from(block);
  }

  encode(): Uint8Array {
    return this.#bytes;
  }
}

/** Returns publish options. Headers are left out if there are none, because nats-server 2.9 garbles an empty block. */
export function withHeaders(from: Readonly<Record<string, string>>): { readonly headers?: MsgHdrs } {
  let block = firstLine;
  for (const name in from) {
    const value = from[name] ?? "";
    if (!headerName.test(name) || value.includes("\r") || value.includes("\n"))
      throw new AshlarError(
        "internal",
        `a NATS message cannot have the header ${JSON.stringify(name)} with this value`,
      );
    block += `${name}: ${value}\r\n`;
  }
  if (block === firstLine) return {};
  return { headers: new EncodedHeaders(`${block}\r\n`) as unknown as MsgHdrs };
}

/** Returns the headers of a message that is appended to a stream; undefined: none. */
export function headersToAppend({ headers = {}, expectLastSequence }: AppendOptions): MsgHdrs | undefined {
  if (expectLastSequence === undefined) return withHeaders(headers).headers;
  return withHeaders({ ...headers, "Nats-Expected-Last-Sequence": String(expectLastSequence) }).headers;
}

function originOf(headers: HeaderBlock): MessageOrigin | undefined {
  const stream = firstValueOf(headers, "Nats-Stream");
  const subject = firstValueOf(headers, "Nats-Subject");
  return stream === undefined || subject === undefined ? undefined : { stream, subject };
}

/** Returns the JSON of a query, the same for direct reads and reads from the leader. */
export function renderQuery(query: StoredQuery): object {
  if ("sequence" in query) return { seq: query.sequence };
  if ("lastOf" in query) return { last_by_subj: query.lastOf };
  return { seq: Math.max(query.from, 1), next_by_subj: query.nextOf };
}

/** Parses the JSON of an answer of JetStream, and throws its errors as ours. */
export function parseAnswer({ data }: RawMessage, what: string): Record<string, unknown> {
  const answer = JSON.parse(Buffer.from(data).toString("utf8")) as Record<string, unknown>;
  const error = answer.error as ApiError | undefined;
  if (error === undefined) return answer;
  const text = `${what}: ${error.description ?? "refused"}`;
  if (error.err_code === wrongLastSequence) throw new AshlarError("conflict", text);
  if (error.err_code === streamNameInUse) throw new AshlarError("exists", text);
  if (error.err_code === streamNotFound || error.code === 404) throw new AshlarError("not_found", text);
  if (error.err_code === maxMessagesPerSubject || /maximum (messages|bytes)/.test(error.description ?? "")) {
    throw new AshlarError(/per subject/.test(error.description ?? "") ? "exists" : "limit", text);
  }
  throw new AshlarError(error.code === 400 ? "invalid_argument" : "unavailable", text);
}

/** Parses the answer to an append, and returns the message's sequence. Calls `onDuplicate` if it was stored before. */
export function parseAppended(answer: RawMessage, what: string, onDuplicate: (() => void) | undefined): number {
  const { seq, duplicate } = parseAnswer(answer, what);
  if (typeof seq !== "number" || seq === 0)
    throw new AshlarError("unavailable", `${what}: an answer without a sequence`);
  if (duplicate === true) onDuplicate?.();
  return seq;
}

/**
 * Parses the answer to a direct get; undefined: there is no such message. A message that was stored with a malformed
 * header block counts as one of unknown origin. If not even its place can be told, fails with `unavailable`.
 */
export function parseDirect({ data, headers }: RawMessage, what: string): StoredMessage | undefined {
  if (headers === undefined) throw new AshlarError("unavailable", `${what}: an answer with a malformed header block`);
  if (headers.code === 404) return undefined;
  if (headers.code >= 300) throw new AshlarError("unavailable", `${what}: ${headers.description || headers.code}`);
  const sequence = Number(lastValueOf(headers, "Nats-Sequence")); // the server's own fields are the last
  const subject = lastValueOf(headers, "Nats-Subject");
  if (!Number.isSafeInteger(sequence) || subject === undefined) {
    throw new AshlarError("unavailable", `${what}: an answer without a sequence`);
  }
  const message = messageFrom({ subject, data, headers }, true);
  // without its own Nats-Stream field the stored block was cut off, and the server's field became part of a value
  const relayed = message.relayed || message.origin === undefined;
  const origin = relayed ? undefined : message.origin;
  return { ...message, relayed, origin, sequence, storedMs: timeOf(lastValueOf(headers, "Nats-Time-Stamp")) };
}

/** Parses the message in the answer of a stream's leader. */
export function parseStored(
  answer: Readonly<Record<string, unknown>> | undefined,
  stream: string,
): StoredMessage | undefined {
  const stored = answer?.message as
    | { subject: string; seq: number; data?: string; hdrs?: string; time?: string }
    | undefined;
  if (stored === undefined) return undefined;
  const { subject, seq: sequence, data, hdrs = "" } = stored;
  const own = Buffer.from(hdrs, "base64");
  const block = hdrs === "" ? noHeaders : parseHeaderBlock(own);
  const bytes = new Uint8Array(Buffer.from(data ?? "", "base64"));
  const message = messageFrom({ subject, data: bytes, headers: block });
  const { header } = block ? message : messageFrom({ subject, data: bytes, headers: asDirect(own, stream) });
  const origin = message.relayed ? undefined : { stream, subject };
  return { ...message, header, origin, sequence, storedMs: timeOf(stored.time) };
}

/**
 * Parses a stored header block as a direct get would return it: there the server's fields replace its last two bytes,
 * whatever these are. Seals cover the header, so both ways to read a message must give the same.
 */
function asDirect(block: Uint8Array, stream: string): HeaderBlock | undefined {
  return parseHeaderBlock(Buffer.concat([block.subarray(0, -2), Buffer.from(`Nats-Stream: ${stream}\r\n\r\n`)]));
}

/** Parses an RFC 3339 time with nanoseconds, as the server writes it, to Unix milliseconds; 0 if there is none. */
function timeOf(text: string | undefined): number {
  const ms = Date.parse(text?.replace(/(\.\d{3})\d+/, "$1") ?? "");
  return Number.isNaN(ms) ? 0 : ms;
}

/** Returns an error with one of our codes that says what was being done. */
export function failureOf(what: string, cause: unknown): AshlarError {
  const denied = cause instanceof NatsError && cause.isPermissionError();
  const code = cause instanceof AshlarError ? cause.code : denied ? "denied" : "unavailable";
  return new AshlarError(code, `${what}: ${denied ? "NATS does not permit it" : messageOf(cause)}`, { cause });
}
