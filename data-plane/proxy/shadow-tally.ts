/**
 * Counts how a candidate judged calls compared with the active revision. The table is bounded and belongs to one epoch.
 */
import { type ShadowCounts, type ShadowFlips, shadowFlipsMax } from "../../core/shadow/shadow-model.js";
import { isMethod } from "../../core/snapshot/grammar.js";
import type { EvaluatedPolicy } from "../ports.js";

export type ShadowOutcome = "same" | "would_deny" | "would_allow" | "error";

/** Longer pairs of caller and method, and those that name no method, are counted without their names. */
const pairLengthMax = 1024;

type Pair = { -readonly [Field in keyof ShadowFlips]: ShadowFlips[Field] };

export class ShadowTally {
  /** The counts since the process began. */
  readonly totals: Record<ShadowOutcome, number> = { same: 0, would_deny: 0, would_allow: 0, error: 0 };
  #epoch = 0;
  #digest = "";
  #before = { ...this.totals };
  readonly #pairs = new Map<string, Pair>();

  /** Counts one call. The first call under another epoch or candidate begins new counts. */
  count(policy: EvaluatedPolicy, outcome: ShadowOutcome, caller: string, method: string): void {
    this.#begin(policy);
    this.totals[outcome]++;
    if (outcome !== "would_deny" && outcome !== "would_allow") return;
    const key = `${caller} ${method}`;
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      if (this.#pairs.size >= shadowFlipsMax || key.length > pairLengthMax || !isMethod(method)) return;
      pair = { caller, method, wouldDeny: 0, wouldAllow: 0 };
      this.#pairs.set(key, pair);
    }
    if (outcome === "would_deny") pair.wouldDeny++;
    else pair.wouldAllow++;
  }

  /** Returns the counts for this candidate since its epoch began. */
  read(policy: EvaluatedPolicy): ShadowCounts {
    this.#begin(policy);
    const since = (outcome: ShadowOutcome): number => this.totals[outcome] - this.#before[outcome];
    return {
      epoch: policy.epoch,
      digest: policy.revisionDigest,
      same: since("same"),
      wouldDeny: since("would_deny"),
      wouldAllow: since("would_allow"),
      errors: since("error"),
      flips: [...this.#pairs.values()].map((pair) => ({ ...pair })).sort((a, b) => sizeOf(b) - sizeOf(a)),
    };
  }

  #begin({ epoch, revisionDigest }: EvaluatedPolicy): void {
    if (epoch === this.#epoch && revisionDigest === this.#digest) return;
    this.#epoch = epoch;
    this.#digest = revisionDigest;
    this.#before = { ...this.totals };
    this.#pairs.clear();
  }
}

function sizeOf({ wouldDeny, wouldAllow }: ShadowFlips): number {
  return wouldDeny + wouldAllow;
}
