import { type Command, Option } from "commander";
import { type Cli, show } from "../cli.js";
import { parseNumber, withExample } from "../options.js";
import { revisionToJson } from "./log.js";

/** Adds `ashlar show [REV]`: prints a revision's policy as files that `apply` accepts. */
export function addShowCommand(program: Command, cli: Cli): void {
  const command = program
    .command("show")
    .description("Print a revision's policy; by default the active one's.")
    .argument("[revision]", "its number", parseNumber)
    .addOption(
      new Option("-o, --output <format>", "what to print on stdout; table: as yaml")
        .choices(["yaml", "json", "table"])
        .default("yaml"),
    )
    .action(async (number: number | undefined, { output }: { output: "yaml" | "json" | "table" }, self: Command) => {
      const { revision, yaml } = await cli.withAdmin(self, (admin) =>
        admin.getRevision({ number: number ?? 0, asJson: false }),
      );
      const json = { ...(revision === undefined ? {} : revisionToJson(revision)), yaml };
      if (output === "json") show(cli, output, json, "");
      else cli.print(yaml.trimEnd()); // a file as it is: what a terminal would obey in it is not escaped
    });
  withExample(command, "ashlar show 3 > policy.yaml");
}
