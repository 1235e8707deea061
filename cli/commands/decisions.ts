import type { Command } from "commander";
import type { RefusalCount } from "../../core/decision/decision-record.js";
import { type Cli, show } from "../cli.js";
import { decisionToJson, describeRewrite } from "../decision-output.js";
import { type DecisionOfProxy, listDecisions } from "../decisions.js";
import { durationOption, outputOption, parseNumber, parseWorkload, withExample } from "../options.js";
import { counted, type OutputFormat, plain, renderTable, renderTime } from "../output.js";

interface Flags {
  readonly since: number;
  readonly denied?: boolean;
  readonly service?: string;
  readonly limit: number;
  readonly output: OutputFormat;
}

const limitMax = 10_000;

/** `ashlar decisions`: what proxies recorded about calls. */
export function addDecisionsCommand(program: Command, cli: Cli): void {
  const command = program
    .command("decisions")
    .summary("List what proxies recorded about calls: every refusal, and a share of the rest.")
    .description(
      "List what proxies recorded about calls, oldest first: every refusal, and a share of the rest.\n" +
        "Many refusals alike are only counted. `ashlar explain ID` says more about one.",
    )
    .addOption(durationOption("--since <duration>", "how far to look back", "10m"))
    .option("--denied", "print only refusals")
    .option("--service <name>", "only calls to this service, or those that gateway/NAME refused", parseWorkload)
    .option("--limit <number>", "the most decisions to print, the newest ones, up to 10000", parseNumber, 100)
    .addOption(outputOption())
    .action(async ({ since, denied = false, service = "", limit, output }: Flags, self: Command) => {
      const max = Math.min(limit, limitMax);
      const request = { sinceMs: cli.clock.nowMs() - since, untilMs: 0, service, refused: denied };
      const found = await cli.withAdmin(self, async (admin) => {
        const kept = new Newest(max);
        for await (const batch of listDecisions(admin, request)) {
          for (const decision of batch.decisions) kept.add({ ...batch, decision });
          kept.addCounts(batch.counted, batch.dropped);
        }
        return kept;
      });
      found.finish();
      const { decisions, counts, dropped } = found;
      const value = { decisions: decisions.map(decisionToJson), counted: counts, dropped };
      show(cli, output, value, renderFound(found));
    });
  withExample(
    command,
    "ashlar decisions --denied --since 1h",
    "ashlar decisions --service payments -o json",
    "ashlar decisions --service gateway/public --denied",
  );
}

/** Keeps the newest of any number of items. */
class Newest {
  readonly #max: number;
  decisions: DecisionOfProxy[] = [];
  counts: RefusalCount[] = [];
  dropped = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add({ service, proxyId, decision }: DecisionOfProxy): void {
    this.decisions.push({ service, proxyId, decision });
    if (this.decisions.length >= 2 * this.#max) this.#cut();
  }

  addCounts(counts: readonly RefusalCount[], dropped: number): void {
    this.dropped += dropped;
    this.counts.push(...counts);
    if (this.counts.length >= 2 * this.#max) this.#cut();
  }

  #cut(): void {
    this.decisions.sort((a, b) => (a.decision.id < b.decision.id ? -1 : 1));
    this.decisions = this.decisions.slice(-this.#max);
    this.counts = this.counts.slice(-this.#max);
  }

  finish(): void {
    this.#cut();
  }
}

function renderFound(found: Newest): string {
  const { decisions, counts, dropped } = found;
  if (decisions.length + counts.length + dropped === 0) return "Nothing was recorded in this time.";
  const rows = decisions.map(({ decision }) => {
    const { id, timeMs, verdict, caller, service, method, rule, revision, version, closed, shadow } = decision;
    const { attempts = 0 } = decision;
    const tries = attempts > 1 ? `${attempts} attempts` : "";
    const marks = [version, tries, closed ? "closed" : "", shadow ? "shadow" : ""].filter((mark) => mark !== "");
    const what = marks.length === 0 ? verdict : `${verdict} (${marks.join(", ")})`;
    return [
      renderTime(timeMs),
      id,
      what,
      caller,
      `${service}/${plain(method)}${describeRewrite(decision)}`,
      rule || "-",
      String(revision),
    ];
  });
  const lines =
    rows.length === 0 ? [] : [renderTable(["TIME", "ID", "VERDICT", "CALLER", "METHOD", "RULE", "REVISION"], rows)];
  for (const { count, verdict, caller, method, calledMethod, rule, fromMs, untilMs } of counts) {
    const called = calledMethod === undefined ? "" : ` (called as ${plain(calledMethod)})`;
    const who = caller === "" ? "several callers and methods" : `${caller} ${plain(method)}${called}`;
    const when = `${renderTime(fromMs)} to ${renderTime(untilMs)}`;
    lines.push(plain(`${count} more ${verdict}, only counted: ${who}${rule === "" ? "" : `, by ${rule}`}, ${when}`));
  }
  if (dropped > 0)
    lines.push(`${counted(dropped, "decision")} found no room and ${dropped === 1 ? "is" : "are"} lost.`);
  return lines.join("\n");
}
