/** The gates of a rollout as operators write them: "samples=100", "refused=2%", "latency=off". */
import { expectedDuration, parseOptionMs } from "../duration.js";
import { AshlarError } from "../errors.js";
import type { RolloutGates } from "./rollout-model.js";

/** The gates of a stage that states none. */
export const gatesDefault: RolloutGates = {
  members: 1,
  samples: 20,
  refused: { timesPercent: 150, moreBasisPoints: 100 },
  failed: { timesPercent: 150, moreBasisPoints: 100 },
  latency: { timesPercent: 200, moreMs: 10 },
  lagMs: 30_000,
  rejections: true,
  predicted: false,
};

export const gateNames = [
  "members",
  "samples",
  "refused",
  "failed",
  "latency",
  "lag",
  "rejections",
  "predicted",
] as const;
export const gatesMax = { members: 100_000, samples: 1_000_000_000, timesPercent: 10_000, moreMs: 600_000 } as const;

/** Returns `gates` with one gate set as `text` says. Fails with `invalid_argument`. */
export function setGate(gates: RolloutGates, text: string): RolloutGates {
  const [, name = "", value = ""] = /^([a-z]+)=(.*)$/s.exec(text) ?? [];
  const off = value === "off";
  switch (name) {
    case "members":
    case "samples":
      return { ...gates, [name]: parseCount(name, value, off) };
    case "refused":
    case "failed":
      if (off) return { ...gates, [name]: undefined };
      return { ...gates, [name]: { timesPercent: 150, moreBasisPoints: parsePercent(name, value) } };
    case "latency":
      if (off) return { ...gates, latency: undefined };
      return { ...gates, latency: { timesPercent: parseTimes(value), moreMs: 10 } };
    case "lag":
      return { ...gates, lagMs: off ? 0 : parseLag(value) };
    case "rejections":
    case "predicted":
      if (!off && value !== "on") throw invalid(name, '"on" or "off"', value);
      return { ...gates, [name]: !off };
    default: {
      const known = `one of ${gateNames.map((each) => `${each}=…`).join(", ")}`;
      throw new AshlarError("invalid_argument", `gate: expected ${known}, got ${JSON.stringify(text.slice(0, 80))}`);
    }
  }
}

function parseCount(name: "members" | "samples", value: string, off: boolean): number {
  if (off) return 0;
  const max = gatesMax[name];
  if (!/^\d{1,10}$/.test(value) || Number(value) > max) throw invalid(name, `a number up to ${max}, or "off"`, value);
  return Number(value);
}

function parsePercent(name: string, value: string): number {
  const percent = /^(\d{1,3}(?:\.\d{1,2})?)%$/.exec(value)?.[1];
  if (percent === undefined || Number(percent) > 100)
    throw invalid(name, 'a share from 0% to 100% on top of what it is compared with, or "off"', value);
  return Math.round(Number(percent) * 100);
}

function parseTimes(value: string): number {
  const times = /^(\d{1,3}(?:\.\d{1,2})?)x?$/.exec(value)?.[1];
  const percent = Math.round(Number(times) * 100);
  if (times === undefined || percent < 100 || percent > gatesMax.timesPercent)
    throw invalid("latency", 'how many times as long calls may take, 1 to 100, or "off"', value);
  return percent;
}

function parseLag(value: string): number {
  const ms = parseOptionMs(value);
  if (ms === undefined || ms < 1 || ms > 86_400_000)
    throw invalid("lag", `${expectedDuration("at most 1d")}, or "off"`, value);
  return ms;
}

function invalid(name: string, expected: string, value: string): AshlarError {
  return new AshlarError(
    "invalid_argument",
    `gate ${name}: expected ${expected}, got ${JSON.stringify(value.slice(0, 80))}`,
  );
}
