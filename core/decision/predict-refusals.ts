/** What a candidate is expected to refuse, from what was recorded. */
import type { DecisionBatch } from "./decision-record.js";
import { Replay, type ReplaySides } from "./replay.js";

/** The share of inbound calls that a candidate would refuse, and how much of the calls that is told from. */
export interface PredictedRefusals {
  /** undefined: nothing that was recorded tells it. */
  readonly share: number | undefined;
  /** Recorded decisions and counted refusals that it was told from. */
  readonly samples: number;
  /** Those that read what was not recorded. */
  readonly undecidable: number;
}

/** Predicts refusals under the candidate from what was recorded. */
export function predictRefusals(batches: Iterable<DecisionBatch>, sides: ReplaySides): PredictedRefusals {
  const replay = new Replay(sides, 0);
  for (const { decisions, ...batch } of batches)
    replay.add({ ...batch, decisions: decisions.filter(({ direction }) => direction === "inbound") });
  const { predictedRefusedShare, decisions, counted, undecidable } = replay.result();
  return { share: predictedRefusedShare, samples: decisions + counted - undecidable, undecidable };
}
