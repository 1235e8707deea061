/**
 * Parses stored messages of a journal after verifying their writer's signature, for every reader of a journal's log.
 */
import { type Digest, digestOf } from "../core/digest.js";
import { isAshlarError } from "../core/errors.js";
import { isMessagesKey } from "../core/journal/journal-key.js";
import type { KeySet } from "../core/signature.js";
import { type JournalEntry, parseEntry } from "../core/wire/journal/entry.js";
import { parseMessages } from "../core/wire/journal/messages.js";
import { type JournalOutcome, parseOutcome } from "../core/wire/journal/outcome.js";
import { type JournalResolution, verifyResolution } from "../core/wire/journal/resolution.js";
import { parseJournalSubject } from "../core/wire/subjects.js";
import type { StoredMessage } from "./bus.js";
import type { StatementReader } from "./statement-reader.js";

export interface JournalRecordDeps {
  readonly reader: Pick<StatementReader, "readJournal">;
  readonly mesh: string;
  /** Returns the keys of control planes in force. What was signed with other keys is ignored. */
  readonly keys: () => KeySet;
}

export interface EntryRecord {
  readonly kind: "entry";
  readonly sequence: number;
  /** The last token of the record's NATS subject. */
  readonly key: string;
  readonly entry: JournalEntry;
  readonly digest: Digest;
}

export interface OutcomeRecord {
  readonly kind: "outcome";
  readonly sequence: number;
  readonly key: string;
  readonly outcome: JournalOutcome;
}

export interface ResolutionRecord {
  readonly kind: "resolution";
  readonly sequence: number;
  readonly key: string;
  readonly resolution: JournalResolution;
}

/** A record with messages of a streamed request, which counts only through the entry that names it. */
export interface MessagesRecord {
  readonly kind: "messages";
  readonly sequence: number;
  /** The id of the stream in hexadecimal. */
  readonly stream: string;
}

export type SettlingRecord = OutcomeRecord | ResolutionRecord;
export type JournalRecord = EntryRecord | SettlingRecord | MessagesRecord;

/**
 * Returns the record in a message, or undefined if the message is none of these kinds or is not signed by anybody who
 * may write it; such a message is treated as absent.
 */
export function readJournalRecord(
  { reader, mesh, keys }: JournalRecordDeps,
  service: string,
  message: StoredMessage,
): JournalRecord | undefined {
  const place = parseJournalSubject(message.origin?.subject ?? message.subject);
  if (place?.service !== service || place.kind === "seal" || place.kind === "letgo") return undefined;
  const { sequence, data } = message;
  const { key } = place;
  try {
    if (place.kind === "resolution") {
      const { body } = verifyResolution(data, mesh, keys());
      return body.service === service ? { kind: "resolution", sequence, key, resolution: body } : undefined;
    }
    const { writer } = reader.readJournal(service, message, message.storedMs);
    if (place.kind === "outcome") return { kind: "outcome", sequence, key, outcome: parseOutcome(data, writer) };
    if (isMessagesKey(key)) {
      const { stream } = parseMessages(data, writer, key);
      return { kind: "messages", sequence, stream: Buffer.from(stream).toString("hex") };
    }
    return { kind: "entry", sequence, key, entry: parseEntry(data, writer, key), digest: digestOf(data) };
  } catch (error) {
    if (isAshlarError(error) && error.code !== "internal") return undefined;
    throw error;
  }
}

/** Returns the sequence of the entry that the record is about. */
export function entryOf(record: SettlingRecord): number {
  return record.kind === "outcome" ? record.outcome.entry : record.resolution.entry;
}

/**
 * Returns whether the record is about this entry: it names the entry's bytes, comes after it, and, if it is an outcome,
 * has the same writer.
 */
export function settles(record: SettlingRecord, entry: EntryRecord): boolean {
  if (record.key !== entry.key || record.sequence <= entry.sequence) return false;
  if (record.kind === "resolution") return record.resolution.entryDigest === entry.digest;
  const { entryDigest, proxyId } = record.outcome;
  return entryDigest === entry.digest && proxyId === entry.entry.proxyId;
}
