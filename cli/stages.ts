import { Option } from "commander";
import { AshlarError } from "../core/errors.js";

/** `--stages 1,10%,100%` is understood so that it can be refused by name. */
export function stagesOption(): Option {
  return new Option("--stages <stages>", "staged activation; not supported yet");
}

/** Fails with `not_supported` if stages are given: activating everywhere at once is not what was asked for. */
export function refuseStages(stages: string | undefined): void {
  if (stages === undefined) return;
  throw new AshlarError("not_supported", "--stages is not supported yet: leave it out to activate everywhere at once");
}
