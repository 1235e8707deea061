import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { awaitFleet, behindError, type FleetTarget } from "../await-fleet.js";
import { type Cli, show } from "../cli.js";
import { outputOption, parseNumber, timeoutOption, withExample } from "../options.js";
import { counted, type OutputFormat } from "../output.js";

interface Flags {
  readonly epoch?: number;
  readonly revision?: number;
  readonly timeout: number;
  readonly output: OutputFormat;
}

/** `ashlar wait`: exit 0 once every live proxy evaluates the target, 1 if the time ends first. */
export function addWaitCommand(program: Command, cli: Cli): void {
  const command = program
    .command("wait")
    .description("Wait until every live proxy evaluates an epoch or revision; by default the active one.")
    .option("--epoch <number>", "this epoch, or a later one", parseNumber)
    .option("--revision <number>", "this revision", parseNumber)
    .addOption(timeoutOption("when to give up"))
    .addOption(outputOption())
    .action(async ({ epoch, revision, timeout, output }: Flags, self: Command) => {
      if (epoch !== undefined && revision !== undefined) {
        throw new AshlarError("invalid_argument", "give --epoch or --revision, not both");
      }
      await cli.withAdmin(self, async (admin) => {
        const startMs = cli.clock.monotonicMs();
        const target: FleetTarget =
          revision === undefined
            ? { kind: "epoch", epoch: epoch ?? (await admin.status()).epoch }
            : { kind: "revision", revision };
        const report = await awaitFleet({ admin, clock: cli.clock }, target, timeout);
        const json = {
          reached: report.reached,
          epoch: report.epoch,
          revision: report.revision,
          behind: report.behind.map(({ id }) => id),
          tookMs: Math.round(cli.clock.monotonicMs() - startMs),
        };
        const proxies = counted(report.live, "live proxy evaluates", "live proxies evaluate");
        const active = `revision ${report.revision} at epoch ${report.epoch}`;
        const text = report.reached
          ? `${proxies} what was waited for: ${active}.`
          : `Still waiting: ${active} is active.`;
        show(cli, output, json, text);
        if (!report.reached) throw behindError(report, target, timeout);
      });
    });
  withExample(command, "ashlar wait --epoch 7 --timeout 10s");
}
