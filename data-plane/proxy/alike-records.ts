/** Encodes records of decisions. What records have in common is encoded once. */
import { type DecisionRecord, noInputs } from "../../core/decision/decision-record.js";
import { encodeDecision } from "../../core/wire/decisions.js";
import { type DecisionStamp, stampDecision } from "../../core/wire/stamp-decision.js";
import type { EvaluatedPolicy } from "../ports.js";

const restsMax = 256;
/** Records with a longer key are encoded as a whole, so that callers cannot fill the memory with long names. */
const keyLengthMax = 4096;

export class AlikeRecords {
  /** The encoded records without their stamps. All belong to one policy. */
  readonly #rests = new Map<string, Uint8Array>();
  #policy: EvaluatedPolicy | undefined;

  /**
   * Returns the bytes of a record. `key` names all records under this policy for which `record` builds the same, save what
   * the stamp has: of inputs only headers may be recorded.
   */
  encode(key: string, policy: EvaluatedPolicy, record: () => DecisionRecord, stamp: DecisionStamp): Uint8Array {
    if (policy !== this.#policy || this.#rests.size >= restsMax) {
      this.#rests.clear();
      this.#policy = policy;
    }
    let rest = this.#rests.get(key);
    if (rest === undefined) {
      const { routing, ...own } = record();
      const plain = routing && { ...routing, draw: 0 };
      rest = encodeDecision({ ...own, id: "", timeMs: 0, inputs: noInputs, routing: plain, traceId: "" });
      if (key.length <= keyLengthMax) this.#rests.set(key, rest);
    }
    return stampDecision(rest, stamp);
  }
}
