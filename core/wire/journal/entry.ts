/** An entry of the journal: a write that policy approved. */
import { createHash } from "node:crypto";
import { JournalEntry as EntryMessage } from "../../../proto/gen/ashlar/v1/journal.js";
import { type Digest, digestOf } from "../../digest.js";
import { AshlarError } from "../../errors.js";
import { parseSpiffeId, type SpiffeId } from "../../identity.js";
import { journalKey } from "../../journal/journal-key.js";
import { boundedText, integer } from "../bounds.js";
import { checkWriter, type FleetWriter } from "../fleet.js";
import { asBuffer, digestToBuffer, optionalDigest } from "../record-codec.js";
import { decodeStrict, reading } from "../strict.js";
import {
  type Confirmation,
  encodeRecord,
  type Field,
  journalRecordBytesMax,
  parseConfirmations,
  parseFields,
  renderConfirmations,
  renderFields,
} from "./fields.js";
import { type JournalOutcome, outcomeOf, renderOutcome } from "./outcome.js";
import { type PrivatePart, parsePrivate, renderPrivate } from "./private.js";

export interface JournalEntry extends FleetWriter {
  /** A number, in hexadecimal, of one run of the writer's process: only this run may forward the entry. */
  readonly life: string;
  readonly nonce: Uint8Array;
  readonly timeMs: number;
  readonly caller: SpiffeId;
  /** The issuer and subject of the end user's token; "": there was none. */
  readonly user: string;
  readonly method: string;
  readonly revision: number;
  readonly epoch: number;
  /** The id of the decision in hexadecimal; "": the decision was not recorded. */
  readonly decision: string;
  /** The idempotency key; "": none. */
  readonly key: string;
  /** The order key; "": the entry has none. */
  readonly order: string;
  /** The sequence of the entry that must precede this one in its order key; 0: none. */
  readonly expected: number;
  readonly afterVoid: number;
  /** The caller's deadline; 0: there was none. */
  readonly deadlineMs: number;
  readonly traceId: string;
  readonly fields: readonly Field[];
  readonly request: Uint8Array;
  readonly confirms: readonly Confirmation[];
  /** Mode "after": the outcome of the call; otherwise undefined. */
  readonly outcome: JournalOutcome | undefined;
  /** Set if the entry closes a streamed request, whose messages are in other records; `request` is then empty. */
  readonly streamed?: StreamedRequest | undefined;
  /** The private part that was cut out of the request; left out: there is none. */
  readonly private?: PrivatePart | undefined;
}

/** What the closing entry of a streamed request states about its messages. */
export interface StreamedRequest {
  /** The records with the messages, in order. */
  readonly messages: readonly Confirmation[];
  /** The digest of all messages as gRPC frames them, and their length in bytes. */
  readonly digest: Digest;
  readonly bytes: number;
}

/** The most bytes of an idempotency key or order key. */
export const journalKeyBytesMax = 512;
const userBytesMax = 1024;
const methodBytesMax = 8 * 1024;
const markBytes = 16;
const decisionBytes = 12;
/** The most records of one stream, because the closing entry that names them must fit into a message. */
export const streamRecordsMax = 4096;
const what = "journal entry";

/** What is known of an entry only when it is appended. */
type AtAppend = "expected" | "afterVoid" | "confirms" | "outcome";
/** An entry before it is appended. */
export type UnplacedEntry = Omit<JournalEntry, AtAppend>;
export type EntryPlace = Pick<JournalEntry, AtAppend>;

/** Every field is written out: spreading an object into another costs as much CPU as encoding it. */
const renderEntry = (entry: UnplacedEntry, place: EntryPlace): EntryMessage => ({
  service: entry.service,
  proxyId: entry.proxyId,
  life: Buffer.from(entry.life, "hex"),
  nonce: asBuffer(entry.nonce),
  timeMs: entry.timeMs,
  caller: entry.caller,
  user: entry.user,
  method: entry.method,
  revision: entry.revision,
  epoch: entry.epoch,
  decision: Buffer.from(entry.decision, "hex"),
  key: entry.key,
  order: entry.order,
  expected: place.expected,
  afterVoid: place.afterVoid,
  deadlineMs: entry.deadlineMs,
  traceId: entry.traceId,
  fields: renderFields(entry.fields),
  request: asBuffer(entry.request),
  confirms: renderConfirmations(place.confirms),
  outcome: place.outcome && renderOutcome(place.outcome),
  messages: renderConfirmations(entry.streamed?.messages ?? []),
  requestDigest: digestToBuffer(entry.streamed?.digest),
  requestBytes: entry.streamed?.bytes ?? 0,
  private: entry.private && renderPrivate(entry.private),
});

/** Returns the bytes of an entry, which are signed by its statement and stored. */
export const encodeEntry = (entry: JournalEntry): Uint8Array => encodeEntryAt(entry, entry);

/** Returns the same bytes for the two parts of an entry, so that a proxy need not copy it for each append. */
export function encodeEntryAt(entry: UnplacedEntry, place: EntryPlace): Uint8Array {
  const message = renderEntry(entry, place);
  return encodeRecord((writer) => EntryMessage.encode(message, writer));
}

/**
 * Parses an entry whose statement was verified: `writer` signed it, and it is stored under `key` (the last token of its
 * subject). Without `writer` nobody is known to have signed it, and the result is only a claim. Fails with
 * `invalid_record` or `limit`.
 */
export function parseEntry(bytes: Uint8Array, writer: FleetWriter | undefined, key: string): JournalEntry {
  const message = decodeStrict(EntryMessage, bytes, what, journalRecordBytesMax);
  return reading(what, () => {
    if (writer !== undefined) checkWriter(message, writer);
    const entry = entryOf(message, writer ?? message);
    if (journalKey(entry) !== key) throw new AshlarError("invalid_record", "it is stored under another key's subject");
    return entry;
  });
}

function entryOf(message: EntryMessage, writer: FleetWriter): JournalEntry {
  const { decision, traceId } = message;
  if (decision.length !== 0 && decision.length !== decisionBytes)
    throw new AshlarError("invalid_record", `decision has ${decision.length} bytes, not ${decisionBytes}`);
  if (traceId !== "" && !/^[0-9a-f]{32}$/.test(traceId)) throw new AshlarError("invalid_record", "trace_id is none");
  integer("life.length", message.life.length, markBytes, markBytes);
  integer("nonce.length", message.nonce.length, markBytes, markBytes);
  return {
    service: message.service,
    proxyId: message.proxyId,
    life: message.life.toString("hex"),
    nonce: message.nonce,
    timeMs: integer("time_ms", message.timeMs, 0),
    caller: parseSpiffeId(message.caller),
    user: boundedText("user", message.user, userBytesMax),
    method: boundedText("method", message.method, methodBytesMax),
    revision: integer("revision", message.revision, 0),
    epoch: integer("epoch", message.epoch, 0),
    decision: decision.toString("hex"),
    key: boundedText("key", message.key, journalKeyBytesMax),
    order: boundedText("order", message.order, journalKeyBytesMax),
    expected: integer("expected", message.expected, 0),
    afterVoid: integer("after_void", message.afterVoid, 0),
    deadlineMs: integer("deadline_ms", message.deadlineMs, 0),
    traceId,
    fields: parseFields("fields", message.fields),
    request: message.request,
    confirms: parseConfirmations(message.confirms),
    outcome: message.outcome && outcomeOf(message.outcome, writer),
    streamed: streamedOf(message),
    ...(message.private && { private: parsePrivate(message.private) }),
  };
}

function streamedOf(message: EntryMessage): StreamedRequest | undefined {
  const { request, requestDigest } = message;
  const messages = parseConfirmations(message.messages, streamRecordsMax);
  const bytes = integer("request_bytes", message.requestBytes, 0);
  const digest = optionalDigest(requestDigest);
  if (messages.length === 0) {
    if (digest !== undefined || bytes !== 0)
      throw new AshlarError("invalid_record", "it says more than its request is");
    return undefined;
  }
  if (digest === undefined || request.length > 0)
    throw new AshlarError("invalid_record", "the closing record of a stream has its digest and no messages");
  for (const [at, { sequence }] of messages.entries())
    if (sequence <= (messages[at - 1]?.sequence ?? 0))
      throw new AshlarError("invalid_record", "messages of a stream are not in their order");
  return { messages, digest, bytes };
}

/** Returns the length of the request's messages in bytes, wherever they are stored. */
export const requestBytesOf = ({ request, streamed }: Pick<JournalEntry, "request" | "streamed">): number =>
  streamed?.bytes ?? request.length;

/**
 * Returns a digest of what must be equal when an idempotency key is used again: the order key and the request's
 * messages.
 */
export function sameRequestDigest({
  order,
  request,
  streamed,
}: Pick<JournalEntry, "order" | "request" | "streamed">): Digest {
  const orderDigest = createHash("sha256").update(order).digest();
  const requestDigest = digestToBuffer(streamed?.digest ?? digestOf(request));
  return digestOf(Buffer.concat([orderDigest, requestDigest]));
}
