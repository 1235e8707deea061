/** An operator's statement about an entry whose outcome is not known. */
import {
  JournalResolution_Outcome as outcomes,
  JournalResolution as ResolutionMessage,
} from "../../../proto/gen/ashlar/v1/journal.js";
import { type Digest, digestFromBytes } from "../../digest.js";
import { AshlarError } from "../../errors.js";
import type { Signed } from "../../model.js";
import type { KeySet, Signer } from "../../signature.js";
import { boundedText, integer, label, messageBytesMax } from "../bounds.js";
import { digestToBuffer, payloadBytesMax, type RecordCodec, signWith, verifyWith } from "../record-codec.js";
import { decodeStrict, reading } from "../strict.js";
import { grpcCode } from "./fields.js";

export interface JournalResolution {
  readonly service: string;
  readonly entry: number;
  readonly entryDigest: Digest;
  readonly outcome: "applied" | "not-applied";
  /** The gRPC status code with which repeated calls are answered. */
  readonly code: number;
  readonly message: string;
  readonly operator: string;
  readonly reason: string;
  readonly timeMs: number;
}

const outcomeOf = {
  applied: outcomes.OUTCOME_APPLIED,
  "not-applied": outcomes.OUTCOME_NOT_APPLIED,
} as const satisfies Record<JournalResolution["outcome"], outcomes>;

const type = "ashlar-journal-resolution";

const codec: RecordCodec<JournalResolution> = {
  type,
  encode: (body) =>
    ResolutionMessage.encode({
      ...body,
      entryDigest: digestToBuffer(body.entryDigest),
      outcome: outcomeOf[body.outcome],
    }).finish(),
  parse(payload) {
    const message = decodeStrict(ResolutionMessage, payload, type, payloadBytesMax);
    return reading(type, () => ({
      service: label("service", message.service),
      entry: integer("entry", message.entry, 1),
      entryDigest: digestFromBytes(message.entryDigest),
      outcome: parseOutcome(message.outcome),
      code: grpcCode(message.code),
      message: boundedText("message", message.message, messageBytesMax),
      operator: boundedText("operator", message.operator, messageBytesMax),
      reason: boundedText("reason", message.reason, messageBytesMax),
      timeMs: integer("time_ms", message.timeMs, 0),
    }));
  },
};

function parseOutcome(outcome: outcomes): JournalResolution["outcome"] {
  if (outcome === outcomes.OUTCOME_APPLIED) return "applied";
  if (outcome === outcomes.OUTCOME_NOT_APPLIED) return "not-applied";
  throw new AshlarError("invalid_record", `outcome is ${outcome}`);
}

export const signResolution = (body: JournalResolution, mesh: string, signer: Signer): Signed<JournalResolution> =>
  signWith(codec, body, mesh, signer);

/**
 * Verifies and then parses a resolution. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown.
 */
export const verifyResolution = (bytes: Uint8Array, mesh: string, keys: KeySet): Signed<JournalResolution> =>
  verifyWith(codec, bytes, mesh, keys);
