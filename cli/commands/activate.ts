import type { Command } from "commander";
import { type ActivationFlags, activateRevision } from "../activate-revision.js";
import { type Cli, show } from "../cli.js";
import { outputOption, parseNumber, parsePercent, timeoutOption, withExample } from "../options.js";
import type { OutputFormat } from "../output.js";
import { refuseStages, stagesOption } from "../stages.js";

interface Flags extends ActivationFlags {
  readonly message?: string;
  readonly stages?: string;
  readonly output: OutputFormat;
}

/** `ashlar activate REV`. */
export function addActivateCommand(program: Command, cli: Cli): void {
  const command = program
    .command("activate")
    .description("Make a published revision the active one, once live proxies have prepared it.")
    .argument("<revision>", "its number", parseNumber)
    .option("-m, --message <text>", "why, for the log")
    .option("--wait", "wait until every live proxy evaluates it")
    .option("--force", "activate although proxies have not prepared it")
    .option("--threshold <percent>", "the share of live proxies that has to be prepared", parsePercent)
    .addOption(stagesOption())
    .addOption(timeoutOption("how long to wait for proxies to prepare, and to switch"))
    .addOption(outputOption())
    .action(async (revision: number, flags: Flags, self: Command) => {
      refuseStages(flags.stages);
      await cli.withAdmin(self, async (admin) => {
        const { failure, ...done } = await activateRevision(
          { admin, clock: cli.clock },
          revision,
          flags.message ?? "",
          flags,
        );
        const { epoch, activated, tookMs } = done;
        const where = flags.wait && failure === undefined ? "in force everywhere" : "active";
        const text = activated
          ? `Revision ${revision} is ${where} at epoch ${epoch} after ${tookMs} ms.`
          : `Revision ${revision} is active already, at epoch ${epoch}.`;
        show(cli, flags.output, done, text);
        if (failure !== undefined) throw failure;
      });
    });
  withExample(command, "ashlar activate 4 --wait");
}
