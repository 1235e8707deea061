/** The outcome of an entry of the journal. */
import { JournalOutcome as OutcomeMessage } from "../../../proto/gen/ashlar/v1/journal.js";
import type { Digest } from "../../digest.js";
import { AshlarError } from "../../errors.js";
import { integer } from "../bounds.js";
import { checkWriter, type FleetWriter } from "../fleet.js";
import { asBuffer, digestToBuffer, optionalDigest } from "../record-codec.js";
import { decodeStrict, reading } from "../strict.js";
import {
  type Confirmation,
  encodeRecord,
  type Field,
  grpcCode,
  journalRecordBytesMax,
  parseConfirmations,
  parseFields,
  renderConfirmations,
  renderFields,
} from "./fields.js";
import { type PrivatePart, parsePrivate, renderPrivate } from "./private.js";

export interface JournalOutcome extends FleetWriter {
  readonly timeMs: number;
  /** The sequence of the entry and the digest of its bytes; 0 and undefined inside an entry of mode "after". */
  readonly entry: number;
  readonly entryDigest: Digest | undefined;
  readonly code: number;
  readonly head: readonly Field[];
  readonly trailers: readonly Field[];
  /** The response's messages with gRPC's framing; undefined: they are not stored. */
  readonly response: Uint8Array | undefined;
  readonly responseDigest: Digest;
  readonly responseBytes: number;
  readonly confirms: readonly Confirmation[];
  /** True if the entry was not forwarded and never will be. */
  readonly notForwarded: boolean;
  /** If the entry was not forwarded: the earlier entry that later ones have to wait for instead; 0: none. */
  readonly behind: number;
  /**
   * The private part that was cut out of the response; left out: there is none. If present, the response's digest is
   * the keyed one.
   */
  readonly private?: PrivatePart | undefined;
}

const what = "journal outcome";

export function renderOutcome(outcome: JournalOutcome): OutcomeMessage {
  return {
    service: outcome.service,
    proxyId: outcome.proxyId,
    timeMs: outcome.timeMs,
    entry: outcome.entry,
    entryDigest: digestToBuffer(outcome.entryDigest),
    code: outcome.code,
    head: renderFields(outcome.head),
    trailers: renderFields(outcome.trailers),
    response: outcome.response === undefined ? Buffer.alloc(0) : asBuffer(outcome.response),
    kept: outcome.response !== undefined,
    responseDigest: digestToBuffer(outcome.responseDigest),
    responseBytes: outcome.responseBytes,
    notForwarded: outcome.notForwarded,
    behind: outcome.behind,
    confirms: renderConfirmations(outcome.confirms),
    private: outcome.private && renderPrivate(outcome.private),
  };
}

export function encodeOutcome(outcome: JournalOutcome): Uint8Array {
  const message = renderOutcome(outcome);
  return encodeRecord((writer) => OutcomeMessage.encode(message, writer));
}

/**
 * Parses an outcome whose statement was verified; `writer` signed it. Without `writer` the result is only a claim.
 * Fails with `invalid_record` or `limit`.
 */
export function parseOutcome(bytes: Uint8Array, writer: FleetWriter | undefined): JournalOutcome {
  const message = decodeStrict(OutcomeMessage, bytes, what, journalRecordBytesMax);
  const outcome = reading(what, () => outcomeOf(message, writer ?? message));
  if (outcome.entry === 0 || outcome.entryDigest === undefined)
    throw new AshlarError("invalid_record", `${what}: it names no entry`);
  return outcome;
}

/** Parses an outcome that is a field of another message. */
export function outcomeOf(message: OutcomeMessage, writer: FleetWriter): JournalOutcome {
  checkWriter(message, writer);
  const responseDigest = optionalDigest(message.responseDigest);
  if (responseDigest === undefined) throw new AshlarError("invalid_record", "response_digest is missing");
  if (message.kept ? message.response.length !== message.responseBytes : message.response.length > 0)
    throw new AshlarError("invalid_record", "response is not as long as it says");
  return {
    service: message.service,
    proxyId: message.proxyId,
    timeMs: integer("time_ms", message.timeMs, 0),
    entry: integer("entry", message.entry, 0),
    entryDigest: optionalDigest(message.entryDigest),
    code: grpcCode(message.code),
    head: parseFields("head", message.head),
    trailers: parseFields("trailers", message.trailers),
    response: message.kept ? message.response : undefined,
    responseDigest,
    responseBytes: integer("response_bytes", message.responseBytes, 0),
    confirms: parseConfirmations(message.confirms),
    notForwarded: message.notForwarded,
    behind: integer("behind", message.behind, 0),
    ...(message.private && { private: parsePrivate(message.private) }),
  };
}
