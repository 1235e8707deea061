/** Stages of a rollout: parses them as operators write them, and shows how far a running rollout is. */
import type { RolloutInfo } from "../../api/messages.js";

export type StageRequest = Readonly<Record<string, unknown>>;

export type ParsedStages =
  | { readonly stages: readonly StageRequest[]; readonly problem?: undefined }
  | { readonly stages?: undefined; readonly problem: string };

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const stagesMax = 32;

/**
 * Parses "1, 25%:2m, label:canary=true, 100%": a number of proxies, a share of them, or those with a label, each with
 * an optional hold time.
 */
export function parseStages(text: string): ParsedStages {
  const words = text.split(/[\s,]+/).filter(Boolean);
  if (words.length === 0) return { problem: "Write at least one stage, for example 10%, 100%." };
  if (words.length > stagesMax) return { problem: `At most ${stagesMax} stages.` };
  const stages: StageRequest[] = [];
  for (const word of words) {
    const stage = parseStage(word);
    if (stage === undefined)
      return {
        problem: `${word} is no stage: write 1 (proxies), 25%, 25%:2m (and hold 2 minutes) or label:canary=true.`,
      };
    stages.push(stage);
  }
  if (stages.at(-1)?.basisPoints !== 10_000) return { problem: "The last stage has to be 100%." };
  return { stages };
}

function parseStage(word: string): StageRequest | undefined {
  const [, what = "", hold] = /^(.*?)(?::(\d+(?:ms|s|m|h|d)))?$/.exec(word) ?? [];
  const held = hold === undefined ? {} : { holdMs: String(parseHold(hold)) };
  const [, percent] = /^(\d{1,3}(?:\.\d{1,2})?)%$/.exec(what) ?? [];
  if (percent !== undefined) {
    const basisPoints = Math.round(Number(percent) * 100);
    return basisPoints >= 1 && basisPoints <= 10_000 ? { basisPoints, ...held } : undefined;
  }
  if (/^[1-9]\d{0,6}$/.test(what)) return { count: Number(what), ...held };
  const [, key, value] = /^label:([^=]+)=(.+)$/.exec(what) ?? [];
  return key === undefined ? undefined : { label: { key, value }, ...held };
}

function parseHold(text: string): number {
  const [, amount = "0", unit = "ms"] = /^(\d+)([a-z]+)$/.exec(text) ?? [];
  return Number(amount) * (unitMs[unit] ?? 1);
}

export interface StageView {
  readonly name: string;
  readonly state: "done" | "now" | "next" | "ended";
  /** The share of the stage's hold time that has passed, from 0 to 1. 0 for a later stage, 1 for an earlier one. */
  readonly share: number;
}

/** Returns how far a rollout is, stage by stage. */
export function viewStages(rollout: RolloutInfo, nowMs: number): readonly StageView[] {
  const running = rollout.state === "running" || rollout.state === "paused";
  return rollout.stages.map((name, index) => {
    const stage = index + 1;
    if (rollout.state === "done" || stage < rollout.stage) return { name, state: "done", share: 1 };
    if (stage > rollout.stage) return { name, state: "next", share: 0 };
    if (!running) return { name, state: "ended", share: 1 };
    const holdMs = holdOf(name) ?? rollout.holdMs;
    const share = holdMs === 0 ? 1 : Math.min(1, Math.max(0, (nowMs - rollout.stageSinceMs) / holdMs));
    return { name, state: "now", share: rollout.state === "paused" ? 0 : share };
  });
}

function holdOf(name: string): number | undefined {
  const [, hold] = /:(\d+(?:ms|s|m|h|d))$/.exec(name) ?? [];
  return hold === undefined ? undefined : parseHold(hold);
}
