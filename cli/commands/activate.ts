import type { Command } from "commander";
import { type ActivationFlags, activateRevision } from "../activate-revision.js";
import { type Cli, show } from "../cli.js";
import { renderSilent } from "../fleet-progress.js";
import { outputOption, parseNumber, parsePercent, timeoutOption, withExample } from "../options.js";
import type { OutputFormat } from "../output.js";
import { renderBegun } from "../rollout-progress.js";
import { addStageOptions, parsePlan } from "../stages.js";

interface Flags extends ActivationFlags {
  readonly message?: string;
  readonly output: OutputFormat;
}

/** `ashlar activate REV`. */
export function addActivateCommand(program: Command, cli: Cli): void {
  const command = program
    .command("activate")
    .description("Make a published revision the active one, once live proxies have prepared it.")
    .argument("<revision>", "its number", parseNumber)
    .option("-m, --message <text>", "the reason, for the log")
    .option("--wait", "wait until every live proxy evaluates it")
    .option("--force", "activate although proxies have not prepared it")
    .option("--threshold <percent>", "the share of live proxies that must be prepared (default: 100%)", parsePercent)
    .addOption(timeoutOption("how long to wait for proxies to prepare, and to switch"))
    .addOption(outputOption())
    .action(async (revision: number, flags: Flags, self: Command) => {
      parsePlan(flags); // checked before anything is done
      await cli.withAdmin(self, async (admin) => {
        const what = { revision, reason: flags.message ?? "" };
        const timeoutGiven = self.getOptionValueSource("timeout") === "cli";
        const { failure, ...done } = await activateRevision({ ...cli, admin }, what, { ...flags, timeoutGiven });
        const { epoch, activated, tookMs, rollout, notHeard } = done;
        const everywhere = notHeard.length === 0 ? "in force everywhere" : "in force at every live proxy";
        const where = flags.wait && failure === undefined ? everywhere : "active";
        const text = !activated
          ? `Revision ${revision} is active already, at epoch ${epoch}.`
          : rollout === undefined
            ? `Revision ${revision} is ${where} at epoch ${epoch} after ${tookMs} ms.${renderSilent(notHeard)}`
            : renderBegun(rollout);
        show(cli, flags.output, done, text);
        if (failure !== undefined) throw failure;
      });
    });
  addStageOptions(command);
  withExample(command, "ashlar activate 4 --wait", "ashlar activate 4 --stages 1,10%,50%,100% --hold 1m");
}
