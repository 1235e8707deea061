import { type Command, Option } from "commander";
import { policySchema } from "../../core/snapshot/schema.js";
import type { Cli } from "../cli.js";
import { withExample } from "../options.js";
import { renderJson } from "../output.js";

/** Adds `ashlar schema`. It asks no control plane, so that editors can be set up without a mesh. */
export function addSchemaCommand(program: Command, cli: Cli): void {
  const command = program
    .command("schema")
    .description("Print the JSON Schema of policy files, for editors.")
    .addOption(new Option("-o, --output <format>", "what to print on stdout").choices(["json"]).default("json"))
    .action(() => cli.print(renderJson(policySchema())));
  withExample(command, "ashlar schema > policy.schema.json");
}
