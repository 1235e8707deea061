import type { Command } from "commander";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import type { AdminClient } from "../client.js";
import { outputOption, parseLabel, withExample } from "../options.js";
import { counted, type OutputFormat } from "../output.js";

interface Flags {
  readonly service?: string;
  readonly message: string;
  readonly yes?: boolean;
  readonly output: OutputFormat;
}

interface Shredded {
  readonly service: string;
  readonly keys: number;
}

/** Adds `ashlar journal shred`: makes the private fields of a subject unreadable. */
export function addShredCommand(journal: Command, cli: Cli): void {
  const command = journal
    .command("shred")
    .description(
      "Erase the data keys of a subject: nobody, not even the holder, can read its private fields again.\n" +
        "The journals themselves stay as they are. Noted in the audit log. What is written about the subject within the next minute\n" +
        "may be unreadable as well.",
    )
    .argument("<subject>", "as `private.subject` of the Journal makes it")
    .option("--service <name>", "in whose journal (default: in every journal that has data keys of it)", parseLabel)
    .option("-m, --message <text>", "why", "no reason was given")
    .option("--yes", "do not ask; without it, what would be erased is printed first, and only a terminal is asked")
    .addOption(outputOption())
    .action(async (subject: string, { service, message, yes = false, output }: Flags, self: Command) => {
      const shredded = await cli.withAdmin(self, async (admin) => {
        const planned = await planOf(admin, subject, service);
        if (!yes) {
          for (const one of planned)
            cli.note(`${counted(one.keys, "data key")} of ${one.service} would be erased for good`);
          if ((await cli.confirm("Erase them? [y/N] ")) !== true)
            throw new AshlarError("denied", "nothing was erased: give --yes if it is meant");
        }
        const done: Shredded[] = [];
        for (const one of planned) {
          const request = { service: one.service, subject, reason: message, dryRun: false };
          const { keys } = await admin.shredJournal(request).catch((error: unknown) => {
            if (service === undefined && isAshlarError(error, "not_found")) return { keys: 0 }; // somebody else was first
            throw error;
          });
          done.push({ service: one.service, keys });
        }
        return done;
      });
      const keys = shredded.reduce((sum, one) => sum + one.keys, 0);
      const where = shredded.map((one) => one.service).join(", ");
      const journals = shredded.length === 1 ? "journal" : "journals";
      const text = `What is private of ${subject} in the ${journals} of ${where} is unreadable: ${counted(keys, "data key")} erased.`;
      show(cli, output, { ...(service !== undefined && { service }), subject, keys, journals: shredded }, text);
    });
  withExample(
    command,
    'ashlar journal shred ada -m "asked for it on 3 March"',
    'ashlar journal shred ada --service ledger -m "asked for it on 3 March" --yes',
  );
}

/** Returns how many data keys each journal has of the subject. Fails with `not_found` if none has any. */
async function planOf(admin: AdminClient, subject: string, service: string | undefined): Promise<readonly Shredded[]> {
  const ask = { subject, reason: "", dryRun: true };
  if (service !== undefined) return [{ service, keys: (await admin.shredJournal({ ...ask, service })).keys }];
  const planned: Shredded[] = [];
  for (const name of (await admin.listJournals({})).services) {
    try {
      planned.push({ service: name, keys: (await admin.shredJournal({ ...ask, service: name })).keys });
    } catch (error) {
      if (!isAshlarError(error, "not_found")) throw error;
    }
  }
  if (planned.length > 0) return planned;
  throw new AshlarError(
    "not_found",
    "no journal has a data key of this subject: nothing private was written about it, or it was shredded",
  );
}
