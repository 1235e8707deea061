/** What an answer says of a rollout that is underway: which revision it is about, and which one it is not. */
import type { RolloutBeside } from "./client.js";

/** As programs get it; nothing while none is underway. */
export function besideToJson(rollout: RolloutBeside | undefined): {
  readonly rollout?: Pick<RolloutBeside, "number" | "candidate" | "base" | "stage">;
} {
  if (rollout === undefined) return {};
  const { number, candidate, base, stage } = rollout;
  return { rollout: { number, candidate, base, stage } };
}

/** One line; "" while none is underway. */
export function renderBeside(rollout: RolloutBeside | undefined): string {
  if (rollout === undefined) return "";
  const { number, candidate, base, stage } = rollout;
  return `Rollout ${number} is at stage ${stage}: its members evaluate revision ${candidate}, all others revision ${base}, the active one.`;
}
