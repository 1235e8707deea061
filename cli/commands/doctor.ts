import { existsSync, lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import { findDirectReads } from "../doctor/direct-facts.js";
import { type DoctorFinding, examine } from "../doctor/examine.js";
import { lookAtFolder } from "../doctor/local-facts.js";
import { collect, outputOption, withExample } from "../options.js";
import { type OutputFormat, plain } from "../output.js";

interface Flags {
  readonly data?: readonly string[];
  readonly output: OutputFormat;
}

/** Adds `ashlar doctor`. It exits with 1 if it finds anything. */
export function addDoctorCommand(program: Command, cli: Cli): void {
  const command = program
    .command("doctor")
    .description("List what is unsafe or can be gone around, each with a remedy. Exits with 1 if there is anything.")
    .option(
      "--data <dir>",
      "a folder of a control plane or proxy on this machine to look at as well; may be repeated (default: that of the context)",
      collect,
    )
    .addOption(outputOption())
    .action(async ({ data, output }: Flags, self: Command) => {
      const { path: context } = cli.readContext(self);
      const beside = dirname(context);
      const folders = data ?? (existsSync(join(beside, "mesh.json")) ? [beside] : []);
      const looks = folders.map(lookAtFolder);
      const [status, { egresses }, direct] = await cli.withAdmin(self, async (admin) => {
        const [told, listed] = await Promise.all([admin.getStatus({}), admin.listEgresses({})]);
        return [told, listed, await findDirectReads(admin, told.revision, cli.clock.nowMs())] as const;
      });
      const findings = examine({
        bypassable: status.bypassable,
        problems: status.problemDetails,
        egresses,
        ...direct,
        listeners: looks.flatMap(({ listeners }) => listeners),
        paths: [
          { path: context, kind: "file", mode: lstatSync(context).mode & 0o777 },
          ...looks.flatMap(({ paths }) => paths).filter(({ path }) => path !== context),
        ],
      });
      show(cli, output, { ok: findings.length === 0, findings }, render(findings));
      if (findings.length > 0)
        throw new AshlarError(
          "denied",
          `${findings.length} ${findings.length === 1 ? "thing is" : "things are"} unsafe`,
        );
    });
  withExample(command, "ashlar doctor", "ashlar doctor --data mesh --data /var/lib/ashlar/payments -o json");
}

function render(findings: readonly DoctorFinding[]): string {
  if (findings.length === 0) return "nothing is found";
  return findings.map(({ code, message, remedy }) => `${plain(`${code}: ${message}`)}\n  ${plain(remedy)}`).join("\n");
}
