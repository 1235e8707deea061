/** The flags of a staged activation, as `apply` and `activate` take them. */
import { type Command, Option } from "commander";
import { AshlarError } from "../core/errors.js";
import { gateNames, gatesDefault, setGate } from "../core/rollout/gates.js";
import { holdMsDefault, parseStages } from "../core/rollout/stages.js";
import { encodeGates, encodeStage } from "../core/wire/rollouts.js";
import type { RolloutPlan } from "./client.js";
import { collect, parseDuration } from "./options.js";

export interface StageFlags {
  readonly stages?: string;
  /** How long each stage holds, in milliseconds. */
  readonly hold?: number;
  readonly gate?: readonly string[];
  readonly endRollout?: boolean;
}

export function addStageOptions(command: Command): Command {
  const stages =
    'in stages, for example "1,10%,label:canary=true,100%": numbers of proxies, labels, shares; the last is 100%; "10%:5m" holds for 5m';
  const gates = `what a stage has to show, for example samples=100, refused=2% or latency=off; one of ${gateNames.join(", ")}`;
  return command
    .option("--stages <list>", stages)
    .addOption(
      new Option("--hold <duration>", "how long a stage holds if the list does not say it (default: 30s)").argParser(
        parseDuration,
      ),
    )
    .option("--gate <name=value>", `${gates}; may be repeated`, collect)
    .option("--end-rollout", "end a running rollout instead of being refused");
}

/** Returns the plan that the flags state; undefined: activate everywhere at once. Fails with `invalid_argument`. */
export function parsePlan({ stages, hold, gate = [] }: StageFlags): RolloutPlan | undefined {
  if (stages === undefined) {
    if (hold === undefined && gate.length === 0) return undefined;
    throw new AshlarError("invalid_argument", `${hold === undefined ? "--gate" : "--hold"} goes with --stages only`);
  }
  const gates = gate.reduce(setGate, gatesDefault);
  return { stages: parseStages(stages).map(encodeStage), holdMs: hold ?? holdMsDefault, gates: encodeGates(gates) };
}
