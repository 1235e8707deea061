/** A call that is judged, and what comes of it, as decisions record them. */
import type { DecisionRecord, LimitOutcome, Verdict } from "../../core/decision/decision-record.js";
import type { SpiffeId } from "../../core/identity.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import type { EvaluatedPolicy } from "../ports.js";

/** A call that is being judged. */
export interface JudgedCall {
  readonly caller: SpiffeId;
  readonly method: string;
  /** The method that the caller asked for, where a route's rewrite made it `method`. */
  readonly calledMethod?: string | undefined;
  readonly inputs: CallInputs;
  /** It is a copy of a call. */
  readonly isMirrored: boolean;
  /** The proxy of the application that called without it; undefined: the caller is a proxy. */
  readonly reader?: string | undefined;
}

export interface Judgement {
  readonly verdict: Verdict;
  readonly rule: string;
  readonly policy: EvaluatedPolicy;
  /** The problem with the token; undefined if there is none. */
  readonly tokenProblem?: string;
  readonly limits?: readonly LimitOutcome[];
  /** True if an open stream was ended after a switch. */
  readonly closed?: boolean;
}

/** A refusal has an id even if it is only counted. */
export interface RecordedRefusal {
  readonly id: string;
  readonly isRecorded: boolean;
}

/** What a record says of the call besides who called what. */
export function marksOf({ isMirrored, reader }: JudgedCall): Pick<DecisionRecord, "mirrored" | "reader"> {
  return { ...(isMirrored ? { mirrored: true } : {}), ...(reader === undefined ? {} : { reader }) };
}
