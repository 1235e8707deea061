import type { Command } from "commander";
import { type Digest, parseDigest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { JournalVerdict } from "../../core/journal/journal-verifier.js";
import { type Cli, show } from "../cli.js";
import { exportJournal, verifyJournalFile, verifyLiveJournal } from "../journal-log.js";
import { outputOption, parseLabel, parsePathOrFormat, parseRootHash, withExample } from "../options.js";
import { counted, type OutputFormat, plain } from "../output.js";

/** Adds `ashlar journal verify|export`: checks that what is stored is what was written. */
export function addJournalVerifyCommands(journal: Command, cli: Cli): void {
  const verify = journal
    .command("verify")
    .summary("Check journals, live or exported; exit 1 if one does not hold.")
    .description(
      "Check journals: the signature of each record, what each proxy confirmed of its own, and the seals of control planes\n" +
        "over the stored bytes. Exit 1 if a message was changed, removed, moved, inserted or cut off, which is named. With a\n" +
        "file, no control plane is asked.",
    )
    .argument("[file]", "as `ashlar journal export` wrote it; default: the live journals")
    .option("--service <name>", "of this service alone (default: all that have a journal)", parseLabel)
    .option(
      "--root-hash <hash>",
      "the root hash of the mesh that it must come from (default: the context's)",
      parseRootHash,
    )
    .addOption(outputOption())
    .action(async (file: string | undefined, flags: VerifyFlags, self: Command) => {
      const rootHash = pinOf(cli, self, flags.rootHash);
      const verdicts =
        file === undefined ? await live(cli, self, flags, rootHash) : [await verifyJournalFile(file, rootHash)];
      const faults = verdicts.flatMap(({ service, faults }) =>
        faults.map((fault) => (verdicts.length > 1 ? { service, ...fault } : fault)),
      );
      const ok = faults.length === 0;
      const sum = (of: (verdict: JournalVerdict) => number): number =>
        verdicts.reduce((all, verdict) => all + of(verdict), 0);
      const [messages, entries, seals] = [
        sum((each) => each.messages),
        sum((each) => each.entries),
        sum((each) => each.seals),
      ];
      show(
        cli,
        flags.output,
        { ok, entries, faults, messages, seals },
        verdicts.map(renderVerdict).join("\n") || "No service has a journal.",
      );
      if (!ok) throw new AshlarError("invalid_record", "the journal does not hold");
    });
  withExample(verify, "ashlar journal verify --service ledger", "ashlar journal verify ledger.jsonl");
  addExportCommand(journal, cli);
}

interface VerifyFlags {
  readonly service?: string;
  readonly rootHash?: string;
  readonly output: OutputFormat;
}

type Verdict = JournalVerdict & { readonly service: string };

async function live(cli: Cli, self: Command, { service }: VerifyFlags, rootHash: Digest): Promise<readonly Verdict[]> {
  return cli.withAdmin(self, async (admin) => {
    const services = service === undefined ? (await admin.listJournals({})).services : [service];
    const verdicts: Verdict[] = [];
    for (const each of services) verdicts.push({ ...(await verifyLiveJournal(admin, each, rootHash)), service: each });
    return verdicts;
  });
}

/** Returns the root hash to verify by. It is never taken from the journal that is verified. */
export function pinOf(cli: Cli, self: Command, given: string | undefined): Digest {
  const rootHash = given ?? cli.readContext(self).rootHash;
  if (rootHash !== undefined) return parseDigest(rootHash);
  throw new AshlarError("invalid_argument", "the context has no root hash: give --root-hash, as in join.json");
}

function renderVerdict({ service, messages, entries, seals, sealedThrough, faults }: Verdict): string {
  const holds = faults.length === 0 ? "holds" : "does not hold";
  const what = `${counted(entries, "entry", "entries")}, ${counted(messages, "message")}`;
  const lines = faults.map(({ sequence, why }) => `sequence ${sequence}: ${plain(why)}`);
  const sealed = seals === 0 ? "no seal" : `${counted(seals, "seal")}, the last through sequence ${sealedThrough}`;
  return [`The journal of ${plain(service)} ${holds}: ${what}, ${sealed}.`, ...lines].join("\n");
}

function addExportCommand(journal: Command, cli: Cli): void {
  const command = journal
    .command("export")
    .description("Write a whole journal to a file that `ashlar journal verify` checks without a control plane.")
    .requiredOption("--service <name>", "whose journal", parseLabel)
    .option("--output-file <file>", "the file to write; required")
    .option("-o, --output <format>", "what to print on stdout: table or json; anything else is taken as --output-file")
    .action(async (flags: { service: string; outputFile?: string; output?: string }, self: Command) => {
      const given = flags.output === undefined ? undefined : parsePathOrFormat(flags.output);
      const out = flags.outputFile ?? (given !== undefined && "path" in given ? given.path : undefined);
      if (out === undefined) return self.error("error: give --output-file FILE");
      const format = given !== undefined && "format" in given && given.format === "json" ? "json" : "table";
      const messages = await cli.withAdmin(self, (admin) => exportJournal(admin, flags.service, out));
      show(cli, format, { messages, file: out }, `${counted(messages, "message")} in ${out}.`);
    });
  withExample(command, "ashlar journal export --service ledger --output-file ledger.jsonl");
}
