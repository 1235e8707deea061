import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import { importJournal } from "../journal-import.js";
import { durationOption, outputOption, parseLabel, parseRootHash, withExample } from "../options.js";
import { counted, type OutputFormat, plain } from "../output.js";
import { pinOf } from "./journal-verify.js";

interface Flags {
  readonly rememberKeys: number;
  readonly message?: string;
  readonly giveUp?: string;
  readonly rootHash?: string;
  readonly output: OutputFormat;
}

/** Adds `ashlar journal import`: turns an archive into the journal of its service again, in the same mesh. */
export function addJournalImportCommand(journal: Command, cli: Cli): void {
  const command = journal
    .command("import")
    .description(
      "Make an export the journal of its service again, in a mesh that has lost it: sequences, signatures and seals stay, and keys are\n" +
        "remembered from now on. It is verified before and after. Refused where the journal is not empty, policy in force names it, or\n" +
        "the export is of another mesh. Noted in the audit log.",
    )
    .argument("[file]", "as `ashlar journal export` wrote it")
    .option("-m, --message <text>", "why; required with a file")
    .addOption(durationOption("--remember-keys <duration>", "how long keys are remembered, as in the Journal", "24h"))
    .option("--give-up <service>", "remove what an import that did not end left of this service's journal", parseLabel)
    .option(
      "--root-hash <hash>",
      "the root hash of the mesh that it must come from (default: the context's)",
      parseRootHash,
    )
    .addOption(outputOption())
    .action(async (file: string | undefined, flags: Flags, self: Command) => {
      const { giveUp, message, rememberKeys: rememberMs, output } = flags;
      if (giveUp !== undefined) {
        if (file !== undefined) return self.error("error: give a file or --give-up, not both");
        const part = { $case: "giveUp", value: {} } as const;
        await cli.withAdmin(self, (admin) => admin.importJournal({ service: giveUp, part }));
        return show(
          cli,
          output,
          { service: giveUp, givenUp: true },
          `No import of the journal of ${giveUp} is under way.`,
        );
      }
      if (file === undefined || message === undefined) return self.error("error: give a file, and -m to say why");
      const what = { path: file, rootHash: pinOf(cli, self, flags.rootHash), rememberMs, reason: message };
      const done = await cli.withAdmin(self, (admin) => importJournal(admin, what, (text) => cli.progress(text)));
      const { service, entries, messages, first, last } = done;
      const text = `The journal of ${plain(service)} is there: ${counted(entries, "entry", "entries")}, ${counted(messages, "message")}, sequences ${first} to ${last}.`;
      show(cli, output, done, text);
    });
  withExample(command, 'ashlar journal import ledger.jsonl -m "NATS was lost"');
}
