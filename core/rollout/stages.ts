/** The stages of a rollout as operators write them: "1,10%:5m,label:canary=true,100%". */

import { parseDurationMs, renderDuration } from "../duration.js";
import { AshlarError } from "../errors.js";
import { cohortIdsMax, everyoneBasisPoints, type Rollout, type RolloutStage } from "./rollout-model.js";

export const stagesMax = 32;
export const holdMsDefault = 30_000;
export const holdMsMax = 7 * 86_400_000;

const expected =
  'a number of proxies ("1"), a share ("10%") or a label ("label:canary=true"), and how long it holds (":5m") if not as the others';

/** Parses a list of stages and checks their law. Fails with `invalid_argument`. */
export function parseStages(text: string): readonly RolloutStage[] {
  const stages = text.split(",").map((part) => parseStage(part.trim()));
  checkStages(stages);
  return stages;
}

function parseStage(text: string): RolloutStage {
  const holdMs = findHoldMs(text);
  if (holdMs === undefined) return parseWhom(text);
  return { ...parseWhom(text.slice(0, text.lastIndexOf(":"))), holdMs };
}

/** Returns the hold that a stage states, in milliseconds: it is stated in "10%:5m", and not in "label:canary=true". */
export function findHoldMs(text: string): number | undefined {
  const at = text.lastIndexOf(":");
  return at < 1 ? undefined : parseDurationMs(text.slice(at + 1));
}

function parseWhom(text: string): RolloutStage {
  const percent = /^(\d{1,3}(?:\.\d{1,2})?)%$/.exec(text)?.[1];
  if (percent !== undefined) return { kind: "percent", basisPoints: Math.round(Number(percent) * 100) };
  if (/^\d{1,6}$/.test(text)) return { kind: "count", count: Number(text) };
  const [, key, value] = /^label:([!-<>-~]{1,63})=([!-~]{0,253})$/.exec(text) ?? [];
  if (key !== undefined && value !== undefined) return { kind: "label", key, value };
  throw invalid(`expected ${expected}, got ${JSON.stringify(text.slice(0, 80))}`);
}

/**
 * Checks the law of stages. The last stage is 100 %, and no other is. Counts grow and shares grow. No count follows a
 * share, because nobody could say which is larger. A hold is at most a week; the last stage has none, because it ends
 * the rollout. Fails with `invalid_argument`.
 */
export function checkStages(stages: readonly RolloutStage[]): void {
  if (stages.length === 0 || stages.length > stagesMax)
    throw invalid(`expected 1 to ${stagesMax} stages, got ${stages.length}`);
  let [count, basisPoints] = [0, 0];
  for (const stage of stages) {
    const { holdMs } = stage;
    if (holdMs !== undefined && (!Number.isSafeInteger(holdMs) || holdMs < 0 || holdMs > holdMsMax))
      throw invalid(`${renderStage(stage)}: a stage holds for 7d at most`);
    if (stage.kind === "label") continue;
    if (stage.kind === "count") {
      if (!Number.isInteger(stage.count) || stage.count < 1 || stage.count > cohortIdsMax)
        throw invalid(`a number of proxies is 1 to ${cohortIdsMax}, got ${stage.count}`);
      if (basisPoints > 0)
        throw invalid(`${renderStage(stage)} comes after a share: give numbers of proxies before shares`);
      if (stage.count <= count) throw invalid(`stages have to grow: ${stage.count} comes after ${count}`);
      count = stage.count;
    } else {
      if (!Number.isInteger(stage.basisPoints) || stage.basisPoints < 1 || stage.basisPoints > everyoneBasisPoints)
        throw invalid(`a share is 0.01% to 100%, got ${renderStage(stage)}`);
      if (stage.basisPoints <= basisPoints)
        throw invalid(`stages have to grow: ${renderStage(stage)} comes after ${renderPercent(basisPoints)}`);
      basisPoints = stage.basisPoints;
    }
  }
  const last = stages.at(-1);
  if (last?.kind !== "percent" || last.basisPoints !== everyoneBasisPoints)
    throw invalid(`the last stage has to be 100%, not ${last === undefined ? "nothing" : renderStage(last)}`);
  if (last.holdMs !== undefined) throw invalid(`the last stage ends the rollout and holds for no time: write 100%`);
}

/** Returns how long a stage holds, in milliseconds, by its number from 1. */
export function holdOf({ stages, holdMs }: Pick<Rollout, "stages" | "holdMs">, stage: number): number {
  return stages[stage - 1]?.holdMs ?? holdMs;
}

/** Renders a stage as operators write it. */
export function renderStage(stage: RolloutStage): string {
  const whom = renderWhom(stage);
  return stage.holdMs === undefined ? whom : `${whom}:${renderDuration(stage.holdMs)}`;
}

function renderWhom(stage: RolloutStage): string {
  switch (stage.kind) {
    case "count":
      return String(stage.count);
    case "percent":
      return renderPercent(stage.basisPoints);
    case "label":
      return `label:${stage.key}=${stage.value}`;
  }
}

/** Renders hundredths of a percent: "12.5%". */
export function renderPercent(basisPoints: number): string {
  return `${basisPoints / 100}%`;
}

function invalid(why: string): AshlarError {
  return new AshlarError("invalid_argument", `stages: ${why}`);
}
