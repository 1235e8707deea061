import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import { outputOption, parseLabel, withExample } from "../options.js";
import { counted, type OutputFormat } from "../output.js";

interface Flags {
  readonly service: string;
  readonly message: string;
  readonly yes?: boolean;
  readonly output: OutputFormat;
}

/** Adds `ashlar journal shred`: makes the private fields of a subject unreadable. */
export function addShredCommand(journal: Command, cli: Cli): void {
  const command = journal
    .command("shred")
    .description(
      "Erase the data keys of a subject: nobody, not even the holder, can read its private fields again.\n" +
        "The journal itself stays as it is. Noted in the audit log. What is written about the subject within the next minute may\n" +
        "be unreadable as well.",
    )
    .argument("<subject>", "as `private.subject` of the Journal makes it")
    .requiredOption("--service <name>", "whose journal", parseLabel)
    .requiredOption("-m, --message <text>", "why")
    .option("--yes", "do not ask; without it, what would be erased is printed first, and only a terminal is asked")
    .addOption(outputOption())
    .action(async (subject: string, { service, message, yes = false, output }: Flags, self: Command) => {
      const request = { service, subject, reason: message, dryRun: false };
      const { keys } = await cli.withAdmin(self, async (admin) => {
        if (yes) return admin.shredJournal(request);
        const planned = await admin.shredJournal({ ...request, dryRun: true });
        cli.note(`${counted(planned.keys, "data key", "data keys")} would be erased for good`);
        if ((await cli.confirm("Erase them? [y/N] ")) === true) return admin.shredJournal(request);
        throw new AshlarError("denied", "nothing was erased: give --yes if it is meant");
      });
      const text = `What is private of ${subject} in the journal of ${service} is unreadable: ${counted(keys, "data key", "data keys")} erased.`;
      show(cli, output, { service, subject, keys }, text);
    });
  withExample(command, 'ashlar journal shred ada --service ledger -m "asked for it on 3 March" --yes');
}
