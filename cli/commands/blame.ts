import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import type { GetConvergenceResponse } from "../client.js";
import { convergenceToJson, isConverged } from "../convergence.js";
import { outputOption, parseNumber, withExample } from "../options.js";
import { counted, type OutputFormat, plain, renderTable, renderTime } from "../output.js";

/** Adds `ashlar blame [REV]`: which proxies are behind, and why. It exits with 0 even if some are. */
export function addBlameCommand(program: Command, cli: Cli): void {
  const command = program
    .command("blame")
    .summary("Say which proxies are behind with a revision, and why.")
    .description(
      "Say which proxies are behind with a revision, by default the active one, and why. Proxies that went silent, or\n" +
        "were never heard of, are behind. With a revision that is not active: who has not prepared it.",
    )
    .argument("[revision]", "its number", parseNumber)
    .addOption(outputOption())
    .action(async (revision: number | undefined, { output }: { output: OutputFormat }, self: Command) => {
      const answer = await cli.withAdmin(self, (admin) => admin.getConvergence({ revision: revision ?? 0 }));
      const { digest, epoch, converged, proxies } = answer;
      const json = { revision: answer.revision, digest, epoch, converged, proxies: proxies.map(convergenceToJson) };
      show(cli, output, json, renderBlame(answer));
    });
  withExample(command, "ashlar blame", "ashlar blame 7 -o json");
}

function renderBlame({ revision, epoch, proxies }: GetConvergenceResponse): string {
  const behind = proxies.filter((proxy) => !isConverged(proxy));
  const what = epoch === 0 ? `revision ${revision}, which is not active` : `revision ${revision}, epoch ${epoch}`;
  const count = behind.length === 0 ? "None" : String(behind.length);
  const sum = `${count} of ${counted(proxies.length, "proxy", "proxies")} behind with ${what}.`;
  if (behind.length === 0) return sum;
  const rows = behind.map(({ id, service, version, state, lastSeenMs, reason }) => {
    return [id, service, version, state, renderTime(lastSeenMs), plain(reason)];
  });
  return `${renderTable(["ID", "SERVICE", "VERSION", "STATE", "LAST SEEN", "WHY"], rows)}\n\n${sum}`;
}
