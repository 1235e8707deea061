/** The verdicts of decisions in messages. */
import { Decision_Verdict as verdict } from "../../proto/gen/ashlar/v1/decision.js";
import type { Verdict } from "../decision/decision-record.js";
import { AshlarError } from "../errors.js";

export const verdictOf: Readonly<Record<Verdict, verdict>> = {
  allowed: verdict.VERDICT_ALLOWED,
  denied: verdict.VERDICT_DENIED,
  unauthenticated: verdict.VERDICT_UNAUTHENTICATED,
  limited: verdict.VERDICT_LIMITED,
  routed: verdict.VERDICT_ROUTED,
  unrouted: verdict.VERDICT_UNROUTED,
};
const verdictNames = new Map<number, Verdict>(
  Object.entries(verdictOf).map(([name, number]) => [number, name as Verdict]),
);

/** Parses a verdict. Fails with `invalid_record`. */
export function parseVerdict(found: verdict): Verdict {
  const name = verdictNames.get(found);
  if (name === undefined) throw new AshlarError("invalid_record", `verdict is ${found}`);
  return name;
}
