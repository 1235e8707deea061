import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import { renderSilent, silentOf } from "../fleet-progress.js";
import { outputOption, parseNumber, timeoutOption, withExample } from "../options.js";
import { type OutputFormat, plain } from "../output.js";

interface Flags {
  readonly to?: number;
  readonly message?: string;
  readonly wait?: boolean;
  readonly timeout: number;
  readonly output: OutputFormat;
}

/** Adds `ashlar rollback`, which switches without waiting for proxies to prepare. */
export function addRollbackCommand(program: Command, cli: Cli): void {
  const command = program
    .command("rollback")
    .description("Make the revision that was active before the active one again, at once, as a new epoch.")
    .option("--to <revision>", "go back to this revision", parseNumber)
    .option("-m, --message <text>", "the reason, for the log")
    .option("--wait", "wait until every live proxy evaluates it")
    .addOption(timeoutOption("how long --wait waits"))
    .addOption(outputOption())
    .action(async ({ to, message = "", wait = false, timeout, output }: Flags, self: Command) => {
      await cli.withAdmin(self, async (admin) => {
        const request = { to, reason: message, wait, waitTimeoutMs: timeout };
        const { activation, tookMs, behind } = await admin.rollback(request);
        const notHeard = wait ? silentOf((await admin.listProxies({})).proxies) : [];
        const { epoch = 0, revision = 0, rollbackOf = 0 } = activation ?? {};
        const json = {
          revision,
          epoch,
          ...(rollbackOf === 0 ? {} : { rollbackOf }),
          tookMs,
          behind,
          notHeard: notHeard.map(({ id, service }) => ({ id, service })),
        };
        const everywhere = notHeard.length === 0 ? "in force everywhere" : "in force at every live proxy";
        const where = wait && behind.length === 0 ? everywhere : "active";
        const text = `Revision ${revision} is ${where} again at epoch ${epoch} after ${tookMs} ms.`;
        show(cli, output, json, `${text}${renderSilent(notHeard)}`);
        if (behind.length === 0) return;
        const late = `epoch ${epoch} not in force everywhere within ${timeout / 1000} s`;
        throw new AshlarError("deadline", plain(`${late}; behind: ${behind.join(", ")}`));
      });
    });
  withExample(command, 'ashlar rollback --wait -m "refunds fail"', "ashlar rollback --to 3");
}
