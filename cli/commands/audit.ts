import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import type { AuditEntry } from "../client.js";
import { outputOption, parseDuration, parseNumber, withExample } from "../options.js";
import { counted, type OutputFormat, plain, renderTable, renderTime } from "../output.js";

interface Flags {
  readonly since?: number;
  readonly limit: number;
  readonly output: OutputFormat;
}

const entriesMax = 10_000;

/** `ashlar audit` and `ashlar audit verify`. */
export function addAuditCommand(program: Command, cli: Cli): void {
  const command = program
    .command("audit")
    .description("List what was done to the mesh, by whom, oldest first.")
    .option("--since <duration>", "only the last so much, for example 1h", parseDuration)
    .option("--limit <number>", "at most so many, the newest; at most 10000", parseNumber, 1000)
    .addOption(outputOption())
    .action(async ({ since, limit, output }: Flags, self: Command) => {
      const sinceMs = since === undefined ? 0 : cli.clock.nowMs() - since;
      const request = { sinceMs, limit: Math.min(limit, entriesMax) };
      const { entries } = await cli.withAdmin(self, (admin) => admin.audit(request));
      show(cli, output, entries.map(entryToJson), renderEntries(entries));
    });
  withExample(command, "ashlar audit --since 1h", "ashlar audit verify");
  addVerifyCommand(command, cli);
}

function addVerifyCommand(audit: Command, cli: Cli): void {
  const command = audit
    .command("verify")
    .description("Check the hash chain of the audit log; exit 1 if it does not hold.")
    .addOption(outputOption())
    .action(async (_flags: unknown, self: Command) => {
      // the parent has an option of this name too, and takes the value
      const { output }: { output: OutputFormat } = self.optsWithGlobals();
      const { entries, chainHolds } = await cli.withAdmin(self, (admin) =>
        admin.audit({ sinceMs: 0, limit: entriesMax }),
      );
      const first = entries[0]?.sequence ?? 0;
      const last = entries.at(-1)?.sequence ?? 0;
      const range = entries.length === 0 ? "" : ` (${first} to ${last})`;
      const text = `${counted(entries.length, "entry", "entries")}${range}: the chain ${chainHolds ? "holds" : "is broken"}.`;
      show(cli, output, { chainHolds, entries: entries.length, first, last }, text);
      if (!chainHolds) throw new AshlarError("invalid_record", "the audit log's hash chain does not hold");
    });
  withExample(command, "ashlar audit verify");
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
