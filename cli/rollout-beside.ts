/** Renders the running rollout beside an answer: the revision that the answer is about, and the candidate. */
import type { RolloutBeside } from "./client.js";

/** Returns the rollout for JSON; nothing if none runs. */
export function besideToJson(rollout: RolloutBeside | undefined): {
  readonly rollout?: Pick<RolloutBeside, "number" | "candidate" | "base" | "stage">;
} {
  if (rollout === undefined) return {};
  const { number, candidate, base, stage } = rollout;
  return { rollout: { number, candidate, base, stage } };
}

/** Returns one line, or "" if no rollout runs. */
export function renderBeside(rollout: RolloutBeside | undefined): string {
  if (rollout === undefined) return "";
  const { number, candidate, base, stage } = rollout;
  return `Rollout ${number} is at stage ${stage}: its members evaluate revision ${candidate}, all others revision ${base}, the active one.`;
}
