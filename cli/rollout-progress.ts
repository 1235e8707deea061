/** Renders a rollout as text and JSON, and watches it to its end. */
import { AshlarError } from "../core/errors.js";
import { findHoldMs } from "../core/rollout/stages.js";
import { parseGates } from "../core/wire/rollouts.js";
import type { Clock } from "../runtime/clock.js";
import { type AdminClient, present, type RolloutInfo } from "./client.js";
import { plain, renderPairs, renderTime } from "./output.js";

const pollMs = 500;

/** Returns whether the rollout has not ended. */
function isUnderway({ state }: RolloutInfo): boolean {
  return state === "running" || state === "paused";
}

/** Polls a rollout until it has ended or `timeoutMs` is over, and calls `watcher` each time. Returns its last state. */
export async function watchRollout(
  { admin, clock }: { readonly admin: Pick<AdminClient, "getRollout">; readonly clock: Clock },
  number: number,
  timeoutMs: number,
  watcher: (rollout: RolloutInfo) => void,
): Promise<RolloutInfo> {
  const endMs = clock.monotonicMs() + timeoutMs;
  for (;;) {
    const rollout = present((await admin.getRollout({ number })).rollout);
    watcher(rollout);
    const leftMs = endMs - clock.monotonicMs();
    if (!isUnderway(rollout) || leftMs <= 0) return rollout;
    await clock.sleep(Math.min(pollMs, leftMs));
  }
}

/** Returns why a rollout that was waited for is not done, or undefined if it is. */
export function failureOf(rollout: RolloutInfo, timeoutMs: number): AshlarError | undefined {
  const { number, state, stage, stages } = rollout;
  switch (state) {
    case "done":
      return undefined;
    case "rolled-back":
    case "replaced": {
      const how = state === "replaced" ? "was replaced by another activation" : "was rolled back";
      return new AshlarError(
        "stale",
        plain(`rollout ${number} ${how} at epoch ${rollout.endEpoch}: ${rollout.endReason}`),
      );
    }
    default: {
      const waits = rollout.waitsFor.length === 0 ? "" : `; it waits for ${rollout.waitsFor.join("; ")}`;
      const at = `rollout ${number} is at stage ${stage} of ${stages.length} after ${timeoutMs / 1000} s and goes on by itself`;
      return new AshlarError("deadline", plain(`${at}${waits}`));
    }
  }
}

export function rolloutToJson(rollout: RolloutInfo) {
  const { number, digest, state, candidate, base, stages, stage, holdMs, members, author, reason, epochs } = rollout;
  return {
    number,
    digest,
    state,
    candidate,
    base,
    stages,
    stage,
    stageSince: renderTime(rollout.stageSinceMs),
    holdMs,
    members,
    gates: rollout.gates && parseGates(rollout.gates),
    figures: rollout.figures.map(({ gate, outcome, text }) => ({ gate, outcome, text })),
    waitsFor: rollout.waitsFor,
    about: rollout.about,
    author,
    reason,
    time: renderTime(rollout.timeMs),
    epochs,
    ...(rollout.endEpoch === 0
      ? {}
      : { end: { epoch: rollout.endEpoch, author: rollout.endAuthor, reason: rollout.endReason } }),
  };
}

/** Returns one line about a rollout. */
export function summarize({ number, state, candidate, base, stages, stage }: RolloutInfo): string {
  const at = stage === 0 ? "not begun" : `stage ${stage} of ${stages.length} (${stages[stage - 1]})`;
  return plain(`rollout ${number}: revision ${candidate} over ${base}, ${state}, ${at}`);
}

/** Returns the text of `apply` and `activate` about a rollout that they began. */
export function renderBegun({ number, candidate, state, stage, stages }: ReturnType<typeof rolloutToJson>): string {
  const at = `stage ${stage} of ${stages.length} (${stages[stage - 1]})`;
  if (state === "done") return `Revision ${candidate} is active: rollout ${number} is done.`;
  return plain(`Rollout ${number} of revision ${candidate}: ${state}, ${at}; see \`ashlar rollout status --watch\`.`);
}

export function renderRollout(rollout: RolloutInfo): string {
  const { state, stage, stages } = rollout;
  const shown = stages.map((text, index) => (index + 1 === stage ? `[${text}]` : text)).join("  ");
  return renderPairs([
    ["rollout", `${rollout.number}, ${state}`],
    ["revision", `${rollout.candidate} over ${rollout.base}`],
    [
      "stages",
      `${shown}  (each holds ${rollout.holdMs / 1000} s${stages.some((stage) => findHoldMs(stage) !== undefined) ? " where it does not say" : ""})`,
    ],
    ["since", renderTime(rollout.stageSinceMs)],
    ...(isUnderway(rollout) ? [["members", String(rollout.members)] as const] : []),
    ...rollout.about.map((what) => ["changes", plain(what)] as const),
    ...rollout.figures.map(({ gate, outcome, text }) => ["gates", plain(`${gate} ${outcome}: ${text}`)] as const),
    ...rollout.waitsFor.map((what) => ["waits for", plain(what)] as const),
    ["begun by", plain(`${rollout.author}${rollout.reason === "" ? "" : `: ${rollout.reason}`}`)],
    ...(rollout.endEpoch === 0
      ? []
      : [["ended by", plain(`${rollout.endAuthor} at epoch ${rollout.endEpoch}: ${rollout.endReason}`)] as const]),
  ]);
}
