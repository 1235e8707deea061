import { type Command, InvalidArgumentError, Option } from "commander";
import { type Cli, show } from "../cli.js";
import type { JournalEntryInfo } from "../client.js";
import { readHolder, readPrivate } from "../journal-replay/private-parts.js";
import { outputOption, parseDuration, parseLabel, parseNumber, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable, renderTime } from "../output.js";
import { addHolderCommand } from "./journal-holder.js";
import { addJournalImportCommand } from "./journal-import.js";
import { addJournalReplayCommand } from "./journal-replay.js";
import { addRetainCommand } from "./journal-retain.js";
import { addShredCommand } from "./journal-shred.js";
import { addJournalVerifyCommands } from "./journal-verify.js";

interface ListFlags {
  readonly service?: string;
  readonly key?: string;
  readonly unresolved?: boolean;
  readonly since?: number;
  readonly limit: number;
  readonly output: OutputFormat;
}

interface ShowFlags {
  readonly holderKey?: string;
  readonly output: OutputFormat;
}

const entriesMax = 10_000;

/** Adds `ashlar journal`: the writes to services, and their outcomes. */
export function addJournalCommand(program: Command, cli: Cli): void {
  const journal = program.command("journal").description("What was written to services with a Journal.");
  const list = journal
    .command("list")
    .description("List the writes of journals, oldest first.")
    .option("--service <name>", "of this service alone (default: all that have a journal)", parseLabel)
    .option("--key <key>", "with this idempotency key alone")
    .option("--unresolved", "only valid writes whose outcome nobody knows")
    .option("--since <duration>", "only writes younger than this, for example 1h", parseDuration)
    .option("--limit <number>", "the most entries to print, the newest ones, up to 10000", parseNumber, 1000)
    .addOption(outputOption())
    .action(async ({ service, key, unresolved, since, limit, output }: ListFlags, self: Command) => {
      const request = {
        service: service ?? "",
        key: key ?? "",
        unresolved: unresolved ?? false,
        sinceMs: since === undefined ? 0 : cli.clock.nowMs() - since,
        limit: Math.min(limit, entriesMax),
      };
      const { entries, refused } = await cli.withAdmin(self, (admin) => admin.listJournal(request));
      if (refused > 0) cli.note(`${refused} messages are no records that their writer signed: they count for nothing`);
      show(cli, output, entries.map(entryToJson), renderEntries(entries));
    });
  withExample(list, "ashlar journal list --service ledger --unresolved");
  const one = journal
    .command("show")
    .description("Print one write with its request and response as base64 of gRPC's framed messages.")
    .argument("<service>", "whose journal", parseLabel)
    .argument("<sequence>", "the entry's sequence there", parseNumber)
    .option("--holder-key <file>", "the holder's private key (PEM), to read private fields; it stays here")
    .addOption(outputOption())
    .action(async (service: string, sequence: number, flags: ShowFlags, self: Command) => {
      const { holderKey, output } = flags;
      const holder = await readHolder(holderKey);
      const found = await cli.withAdmin(self, (admin) => admin.getJournalEntry({ service, sequence }));
      const { entry, operator, reason } = found;
      const { state, messages } = readPrivate(found, found.parts, holder);
      const { request, response } = messages;
      const base64 = { request: request.toString("base64"), response: response.toString("base64") };
      const json = {
        ...(entry === undefined ? {} : entryToJson(entry)),
        ...base64,
        operator,
        reason,
        ...(state !== "none" && { private: state }),
      };
      const lines = Object.entries(json).map(([name, value]) => [
        name,
        plain(typeof value === "string" ? value : JSON.stringify(value)),
      ]);
      show(cli, output, json, renderTable(["FIELD", "VALUE"], lines));
    });
  withExample(one, "ashlar journal show ledger 42");
  addResolveCommand(journal, cli);
  addJournalReplayCommand(journal, cli);
  addJournalVerifyCommands(journal, cli);
  addJournalImportCommand(journal, cli);
  addRetainCommand(journal, cli);
  addShredCommand(journal, cli);
  addHolderCommand(journal, cli);
}

interface ResolveFlags {
  readonly outcome: "applied" | "not-applied";
  readonly code: number;
  readonly answer: string;
  readonly message: string;
  readonly output: OutputFormat;
}

function addResolveCommand(journal: Command, cli: Cli): void {
  const command = journal
    .command("resolve")
    .description(
      "Say what became of a write whose outcome nobody knows, after looking at the application. Noted in the audit log.\n" +
        "Repeats under its key get the answer, and later writes of its order key go on.",
    )
    .argument("<service>", "whose journal", parseLabel)
    .argument("<sequence>", "the entry's sequence there", parseNumber)
    .addOption(
      new Option("--outcome <outcome>", "applied, or not-applied: it never was and never will be")
        .choices(["applied", "not-applied"])
        .makeOptionMandatory(),
    )
    .option("--code <number>", "gRPC status that repeats get, 0 to 16 (default: 0 if applied, else 10)", parseCode)
    .option("--answer <text>", "gRPC message that repeats get", "")
    .requiredOption("-m, --message <text>", "how you found out")
    .addOption(outputOption())
    .action(async (service: string, sequence: number, flags: Partial<ResolveFlags>, self: Command) => {
      const { outcome, code = outcome === "applied" ? 0 : 10, answer = "", message = "", output = "table" } = flags;
      const request = { service, sequence, applied: outcome === "applied", code, message: answer, reason: message };
      const stored = await cli.withAdmin(self, (admin) => admin.resolveJournalEntry(request));
      const text = `Entry ${sequence} of ${service} is resolved as ${outcome}.`;
      show(cli, output, { service, sequence, outcome: { code, sequence: stored.sequence } }, text);
    });
  withExample(command, 'ashlar journal resolve ledger 42 --outcome not-applied -m "not in the books"');
}

function parseCode(text: string): number {
  if (!/^([0-9]|1[0-6])$/.test(text)) throw new InvalidArgumentError("Expected a gRPC status from 0 to 16.");
  return Number(text);
}

function entryToJson(entry: JournalEntryInfo) {
  const { service, sequence, timeMs, principal, user, method, key, order, expected, revision, epoch, decision } = entry;
  const { valid, settled, code, settledBy, proxyId, requestBytes, messagesRecords } = entry;
  return {
    service,
    sequence,
    time: renderTime(timeMs),
    principal,
    ...(user !== "" && { user }),
    method,
    ...(key !== "" && { key }),
    ...(order !== "" && { order, expected }),
    ...{ revision, epoch, decision, valid, proxy: proxyId, requestBytes },
    ...(messagesRecords > 0 && { messagesRecords }),
    ...(entry.private && { private: true }),
    outcome: settled ? { code, sequence: settledBy } : null,
  };
}

function renderEntries(entries: readonly JournalEntryInfo[]): string {
  if (entries.length === 0) return "No entries.";
  const rows = entries.map(({ service, sequence, timeMs, principal, method, key, order, valid, settled, code }) => [
    service,
    String(sequence),
    renderTime(timeMs),
    plain(principal),
    plain(method),
    plain(key),
    plain(order),
    valid ? (settled ? `code ${code}` : "unknown") : "void",
  ]);
  return renderTable(["SERVICE", "SEQUENCE", "TIME", "PRINCIPAL", "METHOD", "KEY", "ORDER", "OUTCOME"], rows);
}
