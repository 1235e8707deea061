import type { Command } from "commander";
import { approvalToJson } from "../approvals.js";
import { type Cli, show } from "../cli.js";
import { outputOption, parseNumber, withExample } from "../options.js";
import { counted, type OutputFormat } from "../output.js";

interface Flags {
  readonly message?: string;
  readonly output: OutputFormat;
}

/** Adds `ashlar approve REV`, which lets another author's revision become active. */
export function addApproveCommand(program: Command, cli: Cli): void {
  const command = program
    .command("approve")
    .summary("Say that a revision by another operator may become active.")
    .description(
      "Say that a revision by another operator may become active. It is signed and noted in the audit log, and shown by\n" +
        "`ashlar log` and `show`. Where the mesh runs with `ashlar up --approvals N`, activations need N of them.",
    )
    .argument("<revision>", "its number", parseNumber)
    .option("-m, --message <text>", "the reason, for the log")
    .addOption(outputOption())
    .action(async (revision: number, { message = "", output }: Flags, self: Command) => {
      const answer = await cli.withAdmin(self, (admin) => admin.approveRevision({ revision, reason: message }));
      const { created, required } = answer;
      const approvals = answer.approvals.map(approvalToJson);
      const count = counted(approvals.length, "approval");
      const needed = required === 0 ? "" : `; an activation needs ${required}`;
      const text = `${created ? "Approved" : "You approved it before"}: revision ${revision} has ${count}${needed}.`;
      show(cli, output, { revision, created, approvals, required }, text);
    });
  withExample(command, 'ashlar approve 12 -m "reviewed with Ann"');
}
