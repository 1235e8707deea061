import { type Command, InvalidArgumentError } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import { outputOption, parseLabel, parseNumber, withExample } from "../options.js";
import { counted, type OutputFormat, plain } from "../output.js";

interface Flags {
  readonly service: string;
  readonly through?: number;
  readonly olderThan?: number;
  readonly message: string;
  readonly yes?: boolean;
  readonly output: OutputFormat;
}

const dayMs = 86_400_000;

/** Adds `ashlar journal retain`, the only command that shortens a journal. */
export function addRetainCommand(journal: Command, cli: Cli): void {
  const command = journal
    .command("retain")
    .description(
      "Drop the beginning of a journal for good, after `ashlar journal export`. Noted in the audit log.\n" +
        "It drops only writes with an outcome whose keys are not remembered any more, and says how far it came.",
    )
    .requiredOption("--service <name>", "whose journal", parseLabel)
    .option("--through <sequence>", "the last sequence to drop", parseNumber)
    .option("--older-than <days>", "drop only what is at least this old, for example 90d", parseDays)
    .requiredOption("-m, --message <text>", "why")
    .option("--yes", "do not ask; without it, what would be dropped is printed first, and only a terminal is asked")
    .addOption(outputOption())
    .action(async (flags: Flags, self: Command) => {
      const { service, through = 0, olderThan, message, yes = false, output } = flags;
      if (through === 0 && olderThan === undefined)
        return self.error("error: give --through SEQUENCE or --older-than DAYS");
      const untilMs = olderThan === undefined ? 0 : cli.clock.nowMs() - olderThan;
      const request = { service, through, untilMs, reason: message, dryRun: false };
      const done = await cli.withAdmin(self, async (admin) => {
        if (yes) return admin.retainJournal(request);
        const planned = await admin.retainJournal({ ...request, dryRun: true });
        cli.note(
          `${counted(planned.entries, "entry", "entries")}, everything through sequence ${planned.through}, would be gone for good`,
        );
        if ((await cli.confirm("Let go of it? [y/N] ")) === true) return admin.retainJournal(request);
        throw new AshlarError("denied", "nothing was let go: give --yes if it is meant");
      });
      const less = done.why === "" ? "" : ` No further, since ${plain(done.why)}.`;
      const text = `The journal of ${service} begins at sequence ${done.through + 1} now: ${counted(done.entries, "entry", "entries")} gone.${less}`;
      show(cli, output, { service, ...done }, text);
    });
  withExample(command, 'ashlar journal retain --service ledger --older-than 90d -m "archived" --yes');
}

function parseDays(text: string): number {
  const days = /^([1-9]\d{0,3})d$/.exec(text)?.[1];
  if (days === undefined) throw new InvalidArgumentError("Expected a number of days, such as 90d.");
  return Number(days) * dayMs;
}
