import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import { outputOption, withExample } from "../options.js";
import { type OutputFormat, plain } from "../output.js";

interface Flags {
  readonly message: string;
  readonly output: OutputFormat;
}

/** Adds `ashlar recover DIGEST`: chooses between two records with the same number. */
export function addRecoverCommand(program: Command, cli: Cli): void {
  const command = program
    .command("recover")
    .summary("Choose between two records of one number, after a backup.")
    .description(
      "Choose between two records of one number that `ashlar status` names: one was acknowledged and lost, since a data\n" +
        "folder was put back from a backup and signed that number again. What is chosen is signed again under a number\n" +
        "above both; an epoch is put in force, a revision is published and left to `ashlar activate`. Nothing is rewritten.",
    )
    .argument("<digest>", "of the record to go on with, as `ashlar status` has it")
    .requiredOption("-m, --message <text>", "why, for the logs and the audit log")
    .addOption(outputOption())
    .action(async (digest: string, { message, output }: Flags, self: Command) => {
      const chosen = await cli.withAdmin(self, (admin) => admin.chooseRecord({ digest, reason: message }));
      const { log, key, head, revision } = chosen;
      const policy = revision === 0 ? "" : ` Its policy is revision ${revision}.`;
      const text = `Chosen for ${plain(log)} ${key}: that log is at ${head} now.${policy}`;
      show(cli, output, { log, key, head, revision }, text);
    });
  withExample(command, 'ashlar recover 3f5a…c9 -m "what the fleet runs is right"');
}
