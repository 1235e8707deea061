/** Predicts from recorded decisions how many calls a candidate would refuse. */
import type { DecisionBatch } from "./decision-record.js";
import { Replay, type ReplaySides } from "./replay.js";

/** The share of inbound calls that a candidate would refuse, and how many records the prediction is based on. */
export interface PredictedRefusals {
  /** From 0 to 1; undefined if no recorded decision can be decided again. */
  readonly share: number | undefined;
  /** The recorded decisions and counted refusals that the prediction is based on. */
  readonly samples: number;
  /** Decisions that cannot be decided again because the candidate reads a value that was not recorded. */
  readonly undecidable: number;
}

/** Predicts how many calls the candidate would refuse, from recorded decisions. */
export function predictRefusals(batches: Iterable<DecisionBatch>, sides: ReplaySides): PredictedRefusals {
  const replay = new Replay(sides, 0);
  for (const { decisions, ...batch } of batches)
    replay.add({
      ...batch,
      decisions: decisions.filter(({ direction }) => direction !== "outbound" && direction !== "edge"),
    });
  const { predictedRefusedShare, decisions, counted, undecidable } = replay.result();
  return { share: predictedRefusedShare, samples: decisions + counted - undecidable, undecidable };
}
