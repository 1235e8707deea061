import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import { awaitFleet, behindError, type FleetReport, type FleetTarget } from "../await-fleet.js";
import { type Cli, show } from "../cli.js";
import type { AdminClient, ProxyConvergence } from "../client.js";
import { readConvergence } from "../convergence.js";
import { outputOption, parseNumber, timeoutOption, withExample } from "../options.js";
import { counted, type OutputFormat } from "../output.js";

interface Flags {
  readonly epoch?: number;
  readonly revision?: number;
  readonly all?: boolean;
  readonly timeout: number;
  readonly output: OutputFormat;
}

/**
 * Adds `ashlar wait`. It exits with 0 once every live proxy evaluates the target, and with 1 if the time ends first.
 */
export function addWaitCommand(program: Command, cli: Cli): void {
  const command = program
    .command("wait")
    .description("Wait until every live proxy evaluates an epoch or revision; by default the active one.")
    .option("--epoch <number>", "this epoch, or a later one", parseNumber)
    .option("--revision <number>", "this revision", parseNumber)
    .option("--all", "also wait for proxies that went silent without leaving or were never heard from")
    .addOption(timeoutOption("how long to wait before giving up"))
    .addOption(outputOption())
    .action(async ({ epoch, revision, all = false, timeout, output }: Flags, self: Command) => {
      if (epoch !== undefined && revision !== undefined) {
        throw new AshlarError("invalid_argument", "give --epoch or --revision, not both");
      }
      await cli.withAdmin(self, async (admin) => {
        const startMs = cli.clock.monotonicMs();
        const target: FleetTarget =
          revision === undefined
            ? { kind: "epoch", epoch: epoch ?? (await admin.getStatus({})).epoch }
            : { kind: "revision", revision };
        const report = await awaitFleet({ ...cli, admin }, target, timeout);
        const spentMs = cli.clock.monotonicMs() - startMs;
        const others = report.reached
          ? await awaitOthers({ admin, clock: cli.clock }, all ? timeout - spentMs : 0)
          : [];
        const json = {
          reached: report.reached,
          converged: report.reached && others.length === 0,
          epoch: report.epoch,
          revision: report.revision,
          behind: report.behind.map(({ id }) => id),
          notHeard: others.map(({ id }) => id),
          tookMs: Math.round(cli.clock.monotonicMs() - startMs),
        };
        show(cli, output, json, renderReport(report, others));
        if (!report.reached) throw behindError(report, target, timeout);
        if (all && others.length > 0) {
          const named = others.map(({ id, reason }) => `${id} (${reason})`).join(", ");
          throw new AshlarError("deadline", `not in force everywhere within ${timeout / 1000} s: ${named}`);
        }
      });
    });
  withExample(command, "ashlar wait --epoch 7 --timeout 10s");
}

const pollMs = 200;

/**
 * Returns the proxies that may not run the target because nothing is heard from them. Asks again until there is none or
 * the time ends.
 */
async function awaitOthers(
  { admin, clock }: { readonly admin: AdminClient; readonly clock: Clock },
  timeoutMs: number,
): Promise<readonly ProxyConvergence[]> {
  const endMs = clock.monotonicMs() + timeoutMs;
  for (;;) {
    const others = (await readConvergence(admin)).filter(({ live }) => !live);
    const leftMs = endMs - clock.monotonicMs();
    if (others.length === 0 || leftMs <= 0) return others;
    await clock.sleep(Math.min(pollMs, leftMs));
  }
}

function renderReport({ live, revision, epoch, reached }: FleetReport, others: readonly ProxyConvergence[]): string {
  const active = `revision ${revision} at epoch ${epoch}`;
  if (!reached) return `Still waiting: ${active} is active.`;
  const proxies = counted(live, "live proxy evaluates", "live proxies evaluate");
  const told = `${proxies} what was waited for: ${active}.`;
  if (others.length === 0) return told;
  return `${told} Not heard of, so not counted: ${others.map(({ id }) => id).join(", ")}.`;
}
