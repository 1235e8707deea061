/** Messages and answers of the `nats` client, in our own words. */
import { headers as createHeaders, type Msg, type MsgHdrs } from "nats";
import { AshlarError } from "../core/errors.js";
import type { BusMessage, StoredMessage, StoredQuery } from "./bus.js";

const wrongLastSequence = 10071;
const streamNotFound = 10059;
const streamNameInUse = 10058;
const maxMessagesPerSubject = 10077; // "maximum messages per subject exceeded" and "maximum bytes exceeded" share it

interface ApiError {
  readonly code: number;
  readonly err_code?: number;
  readonly description?: string;
}

/** Makes `undefined` of what is not there. */
export function absent(error: unknown): undefined {
  if (error instanceof AshlarError && error.code === "not_found") return undefined;
  throw error;
}

/** A message as its reader sees it. */
export function messageFrom(subject: string, data: Uint8Array, headers: MsgHdrs | undefined): BusMessage {
  return {
    subject,
    data: data.slice(), // the client's buffer is larger and shared
    header: (name) => (headers?.has(name) ? headers.get(name) : undefined),
    relayed: headers?.has("Nats-Stream") ?? false,
  };
}

/** Headers as the client wants them. */
export function toHeaders(from: Readonly<Record<string, string>>): MsgHdrs {
  const headers = createHeaders();
  for (const [name, value] of Object.entries(from)) headers.set(name, value);
  return headers;
}

/** The JSON of a query, the same for direct and leader reads. */
export function renderQuery(query: StoredQuery): object {
  if ("sequence" in query) return { seq: query.sequence };
  if ("lastOf" in query) return { last_by_subj: query.lastOf };
  return { seq: Math.max(query.from, 1), next_by_subj: query.nextOf };
}

/** The JSON of an answer of JetStream; its errors become ours. */
export function parseAnswer(message: Msg, what: string): Record<string, unknown> {
  const answer = message.json<Record<string, unknown>>();
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

/** The answer to a direct get; undefined if there is no such message. */
export function parseDirect(message: Msg, what: string): StoredMessage | undefined {
  const { headers } = message;
  const code = headers?.code ?? 0;
  if (code === 404) return undefined;
  if (code >= 300) throw new AshlarError("unavailable", `${what}: ${headers?.description ?? code}`);
  const sequence = Number(headers?.last("Nats-Sequence"));
  const subject = headers?.last("Nats-Subject");
  if (!Number.isSafeInteger(sequence) || subject === undefined) {
    throw new AshlarError("unavailable", `${what}: an answer without a sequence`);
  }
  // The server adds its headers behind those of the stored message: one more than its own was stored with it.
  const relayed = (headers?.values("Nats-Stream").length ?? 0) > 1;
  const storedMs = timeOf(headers?.last("Nats-Time-Stamp"));
  return { ...messageFrom(subject, message.data, headers), relayed, sequence, storedMs };
}

/** The message in the answer of a stream's leader. */
export function parseStored(answer: Readonly<Record<string, unknown>> | undefined): StoredMessage | undefined {
  const stored = answer?.message as
    | { subject: string; seq: number; data?: string; hdrs?: string; time?: string }
    | undefined;
  if (stored === undefined) return undefined;
  const lines = Buffer.from(stored.hdrs ?? "", "base64")
    .toString("utf8")
    .split("\r\n");
  const header = (name: string): string | undefined =>
    lines
      .find((line) => line.startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  return {
    subject: stored.subject,
    sequence: stored.seq,
    storedMs: timeOf(stored.time),
    data: new Uint8Array(Buffer.from(stored.data ?? "", "base64")),
    header,
    relayed: header("Nats-Stream") !== undefined,
  };
}

/** RFC 3339 with nanoseconds, as the server writes it; 0 if it says none. */
function timeOf(text: string | undefined): number {
  const ms = Date.parse(text?.replace(/(\.\d{3})\d+/, "$1") ?? "");
  return Number.isNaN(ms) ? 0 : ms;
}
