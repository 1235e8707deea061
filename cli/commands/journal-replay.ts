import { type Command, InvalidArgumentError } from "commander";
import { AshlarError } from "../../core/errors.js";
import { isVersion } from "../../core/snapshot/grammar.js";
import type { ReplayedWrite, ReplayStart } from "../../proto/gen/ashlar/v1/admin.js";
import { parseHostPort } from "../../runtime/config.js";
import { type Cli, show } from "../cli.js";
import type { AdminContext } from "../context.js";
import { readCheckpoint } from "../journal-replay/checkpoint.js";
import { followReplay } from "../journal-replay/follow-replay.js";
import { NotRestored, readHolder, restored } from "../journal-replay/private-parts.js";
import { type Answer, type ReplayAddress, ReplayClient } from "../journal-replay/replay-client.js";
import { Replay, type ReplayResult } from "../journal-replay/run-replay.js";
import { durationOption, outputOption, parseLabel, parseNumber, withExample } from "../options.js";
import { counted, type OutputFormat, plain, renderTable } from "../output.js";

interface ReplayFlags {
  readonly service: string;
  readonly target: string;
  readonly from?: number;
  readonly to?: number;
  readonly rate?: number;
  readonly parallel: number;
  readonly timeout: number;
  readonly dryRun?: boolean;
  readonly verify?: boolean;
  readonly goOn?: boolean;
  readonly follow?: boolean;
  readonly checkpoint?: string;
  readonly holderKey?: string;
  readonly output: OutputFormat;
}

const parallelDefault = 16;
const parallelMax = 256;

/** `ashlar journal replay`: sends the history of a journal to another version of the service. */
export function addJournalReplayCommand(journal: Command, cli: Cli): void {
  const command = journal
    .command("replay")
    .description(
      "Send the writes of a journal, in the order in which they were applied, to another version of the service or to an\n" +
        "application outside the mesh, and compare the outcomes. The `replayers` of the Journal may do this. Noted in the audit\n" +
        "log. Run again, it goes on from its checkpoint. Ends with 1 if an outcome differs.",
    )
    .requiredOption("--service <name>", "whose journal", parseLabel)
    .requiredOption(
      "--target <version|address>",
      "a version that takes no live calls, or HOST:PORT or unix:PATH of an application that is in no mesh",
      parseTarget,
    )
    .option("--from <sequence>", "the first entry (default: the first that is kept)", parseNumber)
    .option("--to <sequence>", "the last entry (default: the last that is there now)", parseNumber)
    .option("--rate <number>", "the most writes per second (default: as many as the target takes)", parseNumber)
    .option(
      "--parallel <number>",
      `order keys at once, up to ${parallelMax}; 1: strictly one write after the other`,
      parseParallel,
      parallelDefault,
    )
    .addOption(durationOption("--timeout <duration>", "for each write", "30s"))
    .option("--dry-run", "send nothing: say what would be sent, and what is void or unresolved")
    .option("--verify", "compare the bytes of the responses, too, not only the status")
    .option("--go-on", "list divergences and go on, up to the first 1000")
    .option("--follow", "go on with what is written meanwhile, until it is stopped (Ctrl-C, SIGTERM)")
    .option("--checkpoint <file>", "the file that keeps how far it came (default: replay-SERVICE-TARGET.json here)")
    .option(
      "--holder-key <file>",
      "the holder's private key (PEM): without it, writes with private fields are left out",
    )
    .addOption(outputOption())
    .action(async (flags: ReplayFlags, self: Command) => {
      const notRestored = new NotRestored();
      const result = await runReplay(cli, flags, self, notRestored);
      if (notRestored.count > 0) cli.note(renderNotRestored(notRestored, flags.holderKey !== undefined));
      const json = {
        ...toJson(flags, result),
        notRestored: notRestored.count,
        notRestoredEntries: notRestored.entries,
      };
      show(cli, flags.output, json, render(flags, result));
      if ((flags.follow === true || result.summary !== undefined) && result.diverged === 0) return;
      throw new AshlarError("stale", `${result.diverged} writes had another outcome at ${flags.target}`);
    });
  withExample(command, "ashlar journal replay --service ledger --target v2 --verify");
}

function renderNotRestored({ count, entries }: NotRestored, hasKey: boolean): string {
  const why = hasKey ? "their subjects were shredded" : "or their subjects were shredded: give --holder-key";
  return `${counted(count, "write has", "writes have")} private fields that could not be restored, ${why}; not sent: ${entries.slice(0, 20).join(", ")}`;
}

async function runReplay(cli: Cli, flags: ReplayFlags, self: Command, notRestored: NotRestored): Promise<ReplayResult> {
  const holder = await readHolder(flags.holderKey);
  const { service, target, from = 0, to = 0, dryRun = false, verify = false, goOn = false, parallel, rate } = flags;
  const { follow = false } = flags;
  if (follow && (dryRun || to !== 0))
    throw new AshlarError("invalid_argument", "--follow has no last entry and sends: leave --to and --dry-run out");
  const isAddress = !isVersion(target);
  const path = flags.checkpoint ?? `replay-${service}-${target.replaceAll(/[^A-Za-z0-9.-]/g, "_")}.json`;
  const known = dryRun ? undefined : readCheckpoint(path, service, target);
  const context = cli.readContext(self);
  const senders = new Senders(context, flags, isAddress);
  const options = {
    ...{ service, target, isDryRun: dryRun, isWhole: verify, goesOn: goOn, parallel, rate },
    checkpoint: { path, from: known },
  };
  const send = (write: ReplayedWrite, start: ReplayStart): Promise<Answer> => senders.for(write, start).send(write);
  const replay = new Replay({ clock: cli.clock, send, progress: (text) => cli.progress(text) }, options);
  try {
    return await cli.withAdmin(self, (admin) => {
      const open = (afterPosition: number) => {
        const history = admin.replayJournal({
          ...{ service, from, to, dryRun, afterPosition, follow },
          ...(isAddress ? { version: "", address: target } : { version: target, address: "" }),
        });
        return restored(history, holder, notRestored);
      };
      if (!follow) return replay.run(open(known?.position ?? 0));
      const { clock, progress } = cli;
      return followReplay(replay, { clock, open, progress, stopped: cli.stopped() });
    });
  } finally {
    senders.close();
  }
}

/** A client for each instance of the target. The writes of one order key go to one instance. */
class Senders {
  readonly #context: AdminContext;
  readonly #flags: ReplayFlags;
  readonly #isAddress: boolean;
  readonly #clients = new Map<string, ReplayClient>();

  constructor(context: AdminContext, flags: ReplayFlags, isAddress: boolean) {
    this.#context = context;
    this.#flags = flags;
    this.#isAddress = isAddress;
  }

  for({ order }: ReplayedWrite, { targets, identity }: ReplayStart): ReplayClient {
    let sum = 0;
    for (const byte of Buffer.from(order)) sum = (sum * 31 + byte) >>> 0;
    const address = targets[sum % Math.max(1, targets.length)]?.address ?? this.#flags.target;
    let client = this.#clients.get(address);
    if (client === undefined) {
      const where: ReplayAddress = this.#isAddress
        ? { kind: "application", address }
        : { kind: "proxy", address, identity };
      client = new ReplayClient(where, this.#context, this.#flags.service, this.#flags.timeout);
      this.#clients.set(address, client);
    }
    return client;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }
}

function parseTarget(text: string): string {
  if (isVersion(text) || text.startsWith("unix:/") || parseHostPort(text) !== undefined) return text;
  throw new InvalidArgumentError("Expected a version, HOST:PORT or unix:/PATH.");
}

function parseParallel(text: string): number {
  const value = parseNumber(text);
  if (value > parallelMax) throw new InvalidArgumentError(`Expected a number from 1 to ${parallelMax}.`);
  return value;
}

function toJson({ service, target, dryRun = false }: ReplayFlags, result: ReplayResult) {
  const { sent, position, diverged, divergences, summary, tookMs } = result;
  const { entries = 0, applied = 0, void: lost = 0, notApplied = 0, unresolved = 0, refused = 0 } = summary ?? {};
  const found = { entries, applied, void: lost, notApplied, unresolved, refused };
  return {
    ...{ service, target, dryRun, sent, position, diverged, divergences, complete: summary !== undefined },
    ...(summary === undefined ? {} : { ...found, unresolvedEntries: summary.unresolvedEntries }),
    rate: Math.round(sent / Math.max(0.001, tookMs / 1000)),
    tookMs: Math.round(tookMs),
  };
}

function render({ service, target, dryRun = false }: ReplayFlags, result: ReplayResult): string {
  const { sent, position, diverged, divergences, summary, tookMs } = result;
  const rate = Math.round(sent / Math.max(0.001, tookMs / 1000));
  const what = dryRun
    ? `${sent} writes would be sent`
    : `${sent} writes sent in ${(tookMs / 1000).toFixed(1)} s (${rate}/s)`;
  const lines = [`${service} to ${target}: ${what}, up to position ${position}.`];
  if (summary !== undefined) {
    const { entries, applied, void: lost, notApplied, unresolved, unresolvedEntries, refused } = summary;
    lines.push(
      `Of ${entries} entries ${applied} were applied, ${lost} are void, ${notApplied} never reached the application.`,
    );
    if (unresolved > 0)
      lines.push(
        `Nobody knows the outcome of ${unresolved}, which were not sent: ${unresolvedEntries.slice(0, 20).join(", ")}.`,
      );
    if (refused > 0) lines.push(`${refused} messages are no records that their writer signed: they count for nothing.`);
  }
  if (diverged === 0) return [...lines, dryRun ? "" : "No outcome differs."].filter((line) => line !== "").join("\n");
  const rows = divergences.map(({ sequence, method, order, why }) => [
    String(sequence),
    plain(method),
    plain(order),
    plain(why),
  ]);
  return [...lines, renderTable(["SEQUENCE", "METHOD", "ORDER", "DIVERGES"], rows)].join("\n");
}
