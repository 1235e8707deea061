/** An entry of the journal: a write that was approved. */
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
  /** Names one life of the writer's process, in hexadecimal: only that life may forward the entry. */
  readonly life: string;
  readonly nonce: Uint8Array;
  readonly timeMs: number;
  readonly caller: SpiffeId;
  /** Issuer and subject of the end user's token; "": none. */
  readonly user: string;
  readonly method: string;
  readonly revision: number;
  readonly epoch: number;
  /** The id of the decision in hexadecimal; "": it was not recorded. */
  readonly decision: string;
  /** The idempotency key; "": none. */
  readonly key: string;
  /** The order key; "": none. */
  readonly order: string;
  /** The sequence of the entry before it of its order key; 0: none. */
  readonly expected: number;
  readonly afterVoid: number;
  /** The caller's deadline; 0: none. */
  readonly deadlineMs: number;
  readonly traceId: string;
  readonly fields: readonly Field[];
  readonly request: Uint8Array;
  readonly confirms: readonly Confirmation[];
  /** Mode "after": what came of it. */
  readonly outcome: JournalOutcome | undefined;
  /** It closes a streamed request, whose messages are elsewhere; `request` is empty then. */
  readonly streamed?: StreamedRequest | undefined;
  /** What was cut out of the request; left out: nothing. */
  readonly private?: PrivatePart | undefined;
}

/** What the closing record of a streamed request says of its messages. */
export interface StreamedRequest {
  /** The records that have them, in their order. */
  readonly messages: readonly Confirmation[];
  /** The digest of all of them as gRPC frames them, and their length. */
  readonly digest: Digest;
  readonly bytes: number;
}

/** Keys have at most so many bytes. */
export const journalKeyBytesMax = 512;
const userBytesMax = 1024;
const methodBytesMax = 8 * 1024;
const markBytes = 16;
const decisionBytes = 12;
/** More records of one stream are not named: a closing record has to fit into a message. */
export const streamRecordsMax = 4096;
const what = "journal entry";

/** Each field is named: an object that is spread into another costs as much as its encoding. */
const renderEntry = (entry: JournalEntry): EntryMessage => ({
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
  expected: entry.expected,
  afterVoid: entry.afterVoid,
  deadlineMs: entry.deadlineMs,
  traceId: entry.traceId,
  fields: renderFields(entry.fields),
  request: asBuffer(entry.request),
  confirms: renderConfirmations(entry.confirms),
  outcome: entry.outcome && renderOutcome(entry.outcome),
  messages: renderConfirmations(entry.streamed?.messages ?? []),
  requestDigest: digestToBuffer(entry.streamed?.digest),
  requestBytes: entry.streamed?.bytes ?? 0,
  private: entry.private && renderPrivate(entry.private),
});

/** The bytes of an entry: what its statement signs and what is stored. */
export function encodeEntry(entry: JournalEntry): Uint8Array {
  const message = renderEntry(entry);
  return encodeRecord((writer) => EntryMessage.encode(message, writer));
}

/**
 * Reads an entry whose statement held: `writer` signed it, and it is stored under `key` (the last token of its subject).
 * Without `writer` nobody is known to have signed it, and the result is but a claim. Fails with `invalid_record` or `limit`.
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

/** How long the request's messages are, wherever they are kept. */
export const requestBytesOf = ({ request, streamed }: Pick<JournalEntry, "request" | "streamed">): number =>
  streamed?.bytes ?? request.length;

/** What has to be the same when an idempotency key is used again: the order key and the request's messages. */
export function sameRequestDigest({
  order,
  request,
  streamed,
}: Pick<JournalEntry, "order" | "request" | "streamed">): Digest {
  const orderDigest = createHash("sha256").update(order).digest();
  const requestDigest = digestToBuffer(streamed?.digest ?? digestOf(request));
  return digestOf(Buffer.concat([orderDigest, requestDigest]));
}
