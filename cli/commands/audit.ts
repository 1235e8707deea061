import type { Command } from "commander";
import type { AuditVerdict } from "../../core/audit/audit-verifier.js";
import { type Digest, parseDigest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { exportAudit, verifyFile, verifyLive } from "../audit-log.js";
import { type Cli, show } from "../cli.js";
import type { AuditEntry } from "../client.js";
import { parseDuration, parseNumber, parsePathOrFormat, parseRootHash, withExample } from "../options.js";
import { counted, type OutputFormat, plain, renderTable, renderTime } from "../output.js";

interface Flags {
  readonly since?: number;
  readonly limit: number;
  readonly output?: string;
}

const entriesMax = 10_000;

/** Returns the output format. Commander passes the -o of a subcommand to this command, where it may also be a file. */
function formatOf(self: Command, given: string | undefined): OutputFormat {
  if (given === undefined || given === "table" || given === "json") return given ?? "table";
  return self.error(
    `error: option '-o, --output <format>' argument '${given}' is invalid. Allowed choices are table, json.`,
  );
}

/** `ashlar audit` and `ashlar audit verify`. */
export function addAuditCommand(program: Command, cli: Cli): void {
  const command = program
    .command("audit")
    .description("List what was done to the mesh, by whom, oldest first.")
    .option("--since <duration>", "only entries younger than this, for example 1h", parseDuration)
    .option("--limit <number>", "the most entries to print, the newest ones, up to 10000", parseNumber, 1000)
    .option("-o, --output <format>", "what to print on stdout: table or json (default: table)")
    .action(async ({ since, limit, output: given }: Flags, self: Command) => {
      const output = formatOf(self, given);
      const sinceMs = since === undefined ? 0 : cli.clock.nowMs() - since;
      const request = { sinceMs, limit: Math.min(limit, entriesMax) };
      const { entries } = await cli.withAdmin(self, (admin) => admin.listAudit(request));
      show(cli, output, entries.map(entryToJson), renderEntries(entries));
    });
  withExample(command, "ashlar audit --since 1h", "ashlar audit verify");
  addVerifyCommand(command, cli);
  addExportCommand(command, cli);
}

function addVerifyCommand(audit: Command, cli: Cli): void {
  const command = audit
    .command("verify")
    .summary("Check the audit log, live or exported; exit 1 if it does not hold.")
    .description(
      "Check the audit log: the hash chain from its first entry on, and the signatures over it. Exit 1 if an entry was\n" +
        "changed, removed, moved, inserted or cut off, which is named. With a file, no control plane is asked.",
    )
    .argument("[file]", "as `ashlar audit export` wrote it; default: the live log")
    .option(
      "--root-hash <hash>",
      "the root hash of the mesh that the log must come from (default: the context's)",
      parseRootHash,
    )
    .option("-o, --output <format>", "what to print on stdout: table or json (default: table)")
    .action(async (file: string | undefined, flags: { rootHash?: string }, self: Command) => {
      const output = formatOf(self, self.optsWithGlobals<{ output?: string }>().output);
      const rootHash = pinOf(cli, self, flags.rootHash);
      const verdict =
        file === undefined
          ? await cli.withAdmin(self, (admin) => verifyLive(admin, rootHash))
          : await verifyFile(file, rootHash);
      const { entries, first, last, heads, signedUntil, signedMs, problems } = verdict;
      const chainHolds = problems.length === 0;
      const json = { chainHolds, entries, first, last, heads, signedUntil, signed: renderTime(signedMs), problems };
      show(cli, output, json, renderVerdict(verdict));
      if (!chainHolds) throw new AshlarError("invalid_record", "the audit log does not hold");
    });
  withExample(command, "ashlar audit verify", "ashlar audit verify audit.jsonl");
}

/** Returns the root hash to verify by. It is never taken from the log that is verified. */
function pinOf(cli: Cli, self: Command, given: string | undefined): Digest {
  const rootHash = given ?? cli.readContext(self).rootHash;
  if (rootHash !== undefined) return parseDigest(rootHash);
  throw new AshlarError("invalid_argument", "the context has no root hash: give --root-hash, as in join.json");
}

function renderVerdict({ entries, first, last, heads, signedUntil, signedMs, problems }: AuditVerdict): string {
  const range = entries === 0 ? "" : ` (${first} to ${last})`;
  const chain = `${counted(entries, "entry", "entries")}${range}: the chain ${problems.length === 0 ? "holds" : "is broken"}.`;
  const signed =
    heads === 0
      ? []
      : [`Signed up to entry ${signedUntil} at ${renderTime(signedMs)}, ${counted(heads, "head")} in all.`];
  return [chain, ...signed, ...problems.map(plain)].join("\n");
}

function addExportCommand(audit: Command, cli: Cli): void {
  const command = audit
    .command("export")
    .description("Write the whole audit log to a file that `ashlar audit verify` checks without a control plane.")
    .option("--output-file <file>", "the file to write; required")
    .option("-o, --output <format>", "what to print on stdout: table or json; anything else is taken as --output-file")
    .action(async ({ outputFile }: { outputFile?: string }, self: Command) => {
      const { output: text } = self.optsWithGlobals<{ output?: string }>();
      const given = text === undefined ? undefined : parsePathOrFormat(text);
      const out = outputFile ?? (given !== undefined && "path" in given ? given.path : undefined);
      if (out === undefined) return self.error("error: give --output-file FILE");
      const format = given !== undefined && "format" in given && given.format === "json" ? "json" : "table";
      const count = await cli.withAdmin(self, (admin) => exportAudit(admin, out));
      show(cli, format, { entries: count, file: out }, `${counted(count, "entry", "entries")} in ${out}.`);
    });
  withExample(command, "ashlar audit export --output-file audit.jsonl");
}

function entryToJson({ sequence, timeMs, actor, source, action, target, outcome, detail }: AuditEntry) {
  return { sequence, time: renderTime(timeMs), actor, source, action, target, outcome, detail };
}

function renderEntries(entries: readonly AuditEntry[]): string {
  if (entries.length === 0) return "Nothing was done in this time.";
  const rows = entries.map(({ sequence, timeMs, actor, action, target, outcome, detail }) => [
    String(sequence),
    renderTime(timeMs),
    actor,
    action,
    plain(target),
    outcome,
    plain(detail),
  ]);
  return renderTable(["SEQUENCE", "TIME", "ACTOR", "ACTION", "TARGET", "OUTCOME", "DETAIL"], rows);
}
