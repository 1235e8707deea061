/**
 * The record of what an operator removed from the beginning of a journal. It is written into the journal before the
 * messages are removed.
 */
import { JournalLetGo as LetGoMessage } from "../../../proto/gen/ashlar/v1/journal.js";
import { type Digest, digestFromBytes } from "../../digest.js";
import { AshlarError } from "../../errors.js";
import type { Signed } from "../../model.js";
import type { KeySet, Signer } from "../../signature.js";
import { boundedList, boundedText, integer, label, messageBytesMax } from "../bounds.js";
import { digestToBuffer, payloadBytesMax, type RecordCodec, signWith, verifyWith } from "../record-codec.js";
import { decodeStrict, reading } from "../strict.js";

export interface JournalLetGo {
  readonly service: string;
  /** The last sequence that was removed. */
  readonly through: number;
  /** The hash chain of the seals up to there. */
  readonly chain: Digest;
  /**
   * The group of order keys that the record is about: the first digits of the last token of their subjects; "all" for
   * the summary.
   */
  readonly bucket: string;
  /** The heads that the order keys of the bucket had at `through`. */
  readonly heads: ReadonlyMap<string, number>;
  /** In the record "all": the buckets with heads, each of which has a record of its own before this one. */
  readonly buckets: readonly string[];
  readonly operator: string;
  readonly reason: string;
  readonly timeMs: number;
}

/** Order keys are spread over buckets by this many digits, so that the head of a key is found by reading one record. */
const bucketDigits = 3;
export const bucketOf = (key: string): string => key.slice(0, 1 + bucketDigits);
export const everyBucket = "all";
/** The most heads in a record. */
export const headsMax = 5000;
const bucketsMax = 16 ** bucketDigits;
const keyOfOrder = /^o[0-9a-f]{32}$/;
const bucketOfOrder = /^o[0-9a-f]{3}$/;
const type = "ashlar-journal-let-go";

const codec: RecordCodec<JournalLetGo> = {
  type,
  encode: ({ chain, heads, buckets, ...body }) =>
    LetGoMessage.encode({
      ...body,
      chain: digestToBuffer(chain),
      heads: [...heads].map(([key, sequence]) => ({ key, sequence })),
      buckets: [...buckets],
    }).finish(),
  parse(payload) {
    const message = decodeStrict(LetGoMessage, payload, type, payloadBytesMax);
    return reading(type, () => {
      const through = integer("through", message.through, 1);
      const heads = boundedList("heads", message.heads, headsMax).map(({ key, sequence }): [string, number] => {
        if (!keyOfOrder.test(key) || bucketOf(key) !== message.bucket)
          throw new AshlarError("invalid_record", "heads has a key of another bucket");
        return [key, integer("heads.sequence", sequence, 1, through)];
      });
      const buckets = boundedList("buckets", message.buckets, bucketsMax);
      if (message.bucket !== everyBucket && !bucketOfOrder.test(message.bucket))
        throw new AshlarError("invalid_record", "bucket is none");
      if (buckets.some((bucket) => !bucketOfOrder.test(bucket)))
        throw new AshlarError("invalid_record", "buckets has one that is none");
      return {
        service: label("service", message.service),
        through,
        chain: digestFromBytes(message.chain),
        bucket: message.bucket,
        heads: new Map(heads),
        buckets,
        operator: boundedText("operator", message.operator, messageBytesMax),
        reason: boundedText("reason", message.reason, messageBytesMax),
        timeMs: integer("time_ms", message.timeMs, 0),
      };
    });
  },
};

export const signLetGo = (body: JournalLetGo, mesh: string, signer: Signer): Signed<JournalLetGo> =>
  signWith(codec, body, mesh, signer);

/**
 * Verifies and then parses the record. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown.
 */
export const verifyLetGo = (bytes: Uint8Array, mesh: string, keys: KeySet): Signed<JournalLetGo> =>
  verifyWith(codec, bytes, mesh, keys);
