/**
 * A journal as a file: lines of JSON that people can read. The first line states the mesh, its trust records and the
 * seal over the whole journal; each following line is a message with its signed bytes. The verifier compares the
 * readable text with the bytes. Pure.
 */
import { AshlarError, messageOf } from "../errors.js";
import { parseEntry } from "../wire/journal/entry.js";
import { parseMessages } from "../wire/journal/messages.js";
import { parseOutcome } from "../wire/journal/outcome.js";
import { parseJournalSubject } from "../wire/subjects.js";
import { isMessagesKey } from "./journal-key.js";
import type { JournalMessage } from "./journal-verifier.js";

/** What a journal file is verified with. */
export interface JournalTrust {
  readonly mesh: string;
  readonly service: string;
  /** The mesh's root key, Ed25519, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
  /** The mesh's signed trust records. */
  readonly trust: readonly Uint8Array[];
  /** The seal over all messages, which is not among them. */
  readonly end: Uint8Array;
  /** The signed message that states which messages were removed; empty: none were. */
  readonly letGo: Uint8Array;
}

const format = "ashlar-journal-1";
/** The most bytes of one line. */
export const journalLineBytesMax = 32 * 1024 * 1024;

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const fromBase64 = (text: unknown): Uint8Array => {
  if (typeof text !== "string") throw new AshlarError("invalid_record", "base64 is wanted");
  return new Uint8Array(Buffer.from(text, "base64"));
};

export function renderJournalTrust({ mesh, service, rootPublicKey, trust, end, letGo }: JournalTrust): string {
  const signed = { end: toBase64(end), ...(letGo.length > 0 && { letGo: toBase64(letGo) }) };
  const keys = { rootPublicKey: toBase64(rootPublicKey), trust: trust.map(toBase64), ...signed };
  return JSON.stringify({ format, mesh, service, ...keys });
}

/** Parses the first line of a journal file. Fails with `invalid_argument` if the line is no such header. */
export function parseJournalTrust(line: string): JournalTrust {
  try {
    const { mesh, service, trust, ...header } = JSON.parse(line) as Record<string, unknown>;
    if (header.format !== format || typeof mesh !== "string" || typeof service !== "string" || !Array.isArray(trust))
      throw new Error("no header");
    const keys = { rootPublicKey: fromBase64(header.rootPublicKey), trust: trust.map(fromBase64) };
    return { mesh, service, ...keys, end: fromBase64(header.end), letGo: fromBase64(header.letGo ?? "") };
  } catch (cause) {
    throw new AshlarError("invalid_argument", "not a file that `ashlar journal export` wrote", { cause });
  }
}

/** Renders the line of a message: its readable parts and all bytes that are verified. */
export function renderJournalLine({ sequence, storedMs, subject, statement, data }: JournalMessage): string {
  const time = new Date(storedMs).toISOString();
  const stored = { sequence, time, ...aboutOf(subject, data) };
  return JSON.stringify({ ...stored, subject, statement, data: toBase64(data) });
}

/** Returns the readable parts of a record, whoever signed it; an empty object if the record cannot be parsed. */
function aboutOf(subject: string, data: Uint8Array): object {
  const place = parseJournalSubject(subject);
  try {
    if (place?.kind === "entry" && isMessagesKey(place.key)) {
      const { stream, number } = parseMessages(data, undefined, place.key);
      return { kind: "messages", stream: Buffer.from(stream).toString("hex"), number };
    }
    if (place?.kind === "entry") {
      const { caller, user, method, key, order, expected, revision, streamed } = parseEntry(data, undefined, place.key);
      const messages = streamed?.messages.map(({ sequence }) => sequence);
      return { kind: "entry", principal: caller, user, method, key, order, expected, revision, messages };
    }
    if (place?.kind === "outcome") {
      const { entry, code, notForwarded } = parseOutcome(data, undefined);
      return { kind: "outcome", entry, code, notForwarded };
    }
    return { kind: place?.kind ?? "unknown" };
  } catch {
    return { kind: "unknown" };
  }
}

/**
 * Parses the line of a message. Fails with `invalid_record` if the line cannot be parsed, or if its readable text
 * contradicts its bytes.
 */
export function parseJournalLine(line: string): JournalMessage {
  try {
    const { sequence, time, subject, statement, data } = JSON.parse(line) as Record<string, unknown>;
    if (typeof sequence !== "number" || typeof time !== "string") throw new Error("it has no sequence or time");
    if (typeof subject !== "string" || typeof statement !== "string") throw new Error("it has no subject or statement");
    const message = { sequence, storedMs: Date.parse(time), subject, statement, data: fromBase64(data) };
    if (renderJournalLine(message) !== line) throw new Error("what it says is not what its bytes say");
    return message;
  } catch (cause) {
    throw new AshlarError("invalid_record", messageOf(cause), { cause });
  }
}
