import { type Command, InvalidArgumentError } from "commander";
import { type Cli, show } from "../cli.js";
import { present, type RolloutInfo } from "../client.js";
import { durationOption, outputOption, parseNumber, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable, renderTime } from "../output.js";
import { failureOf, renderRollout, rolloutToJson, watchRollout } from "../rollout-progress.js";

interface StatusFlags {
  readonly watch?: boolean;
  readonly timeout: number;
  readonly output: OutputFormat;
}

interface OrderFlags {
  readonly message?: string;
  readonly output: OutputFormat;
}

const listMax = 1000;

/** `ashlar rollout status|list|pause|resume|advance|abort`. */
export function addRolloutCommand(program: Command, cli: Cli): void {
  const rollout = program
    .command("rollout")
    .description("Look at a staged activation, pause it, let it go on, or end it.");
  withExample(rollout, "ashlar rollout status --watch", 'ashlar rollout abort -m "not today"');
  addStatus(rollout, cli);
  addList(rollout, cli);
  addOrder(rollout, cli, "pause", "Keep the rollout at its stage. A gate that fails rolls it back all the same.");
  addOrder(rollout, cli, "resume", "Resume a paused rollout. The hold of its stage begins again.");
  addOrder(rollout, cli, "advance", "Begin the next stage now, without waiting for what the present one lacks.");
  addOrder(rollout, cli, "abort", "End the rollout: every proxy evaluates the revision before it again.");
}

function addStatus(rollout: Command, cli: Cli): void {
  const command = rollout
    .command("status")
    .description("Show a rollout: its stages, what its gates say, and what it waits for.")
    .argument("[number]", "the rollout's number; default: the one that runs, else the newest", parseNumber)
    .option("--watch", "show it until it has ended; exit 1 unless it ended well")
    .addOption(durationOption("--timeout <duration>", "how long --watch watches", "24h"))
    .addOption(outputOption())
    .action(async (number: number | undefined, { watch, timeout, output }: StatusFlags, self: Command) => {
      await cli.withAdmin(self, async (admin) => {
        const first = present((await admin.getRollout({ number: number ?? 0 })).rollout);
        const watcher = (each: RolloutInfo): void => cli.progress(renderRollout(each));
        const seen = watch ? await watchRollout({ admin, clock: cli.clock }, first.number, timeout, watcher) : first;
        if (!watch || output === "json") show(cli, output, rolloutToJson(seen), renderRollout(seen));
        const failure = watch ? failureOf(seen, timeout) : undefined;
        if (failure !== undefined) throw failure;
      });
    });
  withExample(command, "ashlar rollout status", "ashlar rollout status 3 -o json");
}

function addList(rollout: Command, cli: Cli): void {
  const command = rollout
    .command("list")
    .description("List rollouts, newest first.")
    .option("--limit <number>", `how many to print, at most ${listMax}`, parseLimit, 100)
    .addOption(outputOption())
    .action(async ({ limit, output }: { limit: number; output: OutputFormat }, self: Command) => {
      const { rollouts } = await cli.withAdmin(self, (admin) => admin.listRollouts({ limit }));
      show(cli, output, rollouts.map(rolloutToJson), renderList(rollouts));
    });
  withExample(command, "ashlar rollout list");
}

function parseLimit(text: string): number {
  const limit = parseNumber(text);
  if (limit > listMax) throw new InvalidArgumentError(`Expected at most ${listMax}.`);
  return limit;
}

function renderList(rollouts: readonly RolloutInfo[]): string {
  if (rollouts.length === 0) return "There was no rollout yet.";
  const rows = rollouts.map((each) => [
    String(each.number),
    each.state,
    String(each.candidate),
    String(each.base),
    `${each.stage} of ${each.stages.length}`,
    renderTime(each.timeMs),
    plain(each.endReason === "" ? each.reason : each.endReason),
  ]);
  return renderTable(["ROLLOUT", "STATE", "REVISION", "BASE", "STAGE", "TIME", "WHY"], rows);
}

const done = { pause: "paused", resume: "resumed", advance: "at its next stage", abort: "ended" } as const;

type RolloutOrder = "pause" | "resume" | "abort" | "advance";

function addOrder(rollout: Command, cli: Cli, what: RolloutOrder, description: string): void {
  const command = rollout
    .command(what)
    .description(description)
    .argument("[number]", "the rollout's number; default: the one that runs", parseNumber)
    .option("-m, --message <text>", "the reason, for the log")
    .addOption(outputOption())
    .action(async (number: number | undefined, { message = "", output }: OrderFlags, self: Command) => {
      const request = { number: number ?? 0, reason: message };
      const { epoch, revision } = present(
        (await cli.withAdmin(self, (admin) => admin[`${what}Rollout`](request))).activation,
      );
      const back = what === "abort" ? `; revision ${revision} is active` : "";
      show(cli, output, { epoch, revision }, `The rollout is ${done[what]} at epoch ${epoch}${back}.`);
    });
  withExample(command, `ashlar rollout ${what}`);
}
