import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import { outputOption, withExample } from "../options.js";
import { counted, type OutputFormat, plain } from "../output.js";

interface Flags {
  readonly message?: string;
  readonly output: OutputFormat;
}

/** Adds `ashlar revoke ID`: invalidates an identity before its certificate expires. */
export function addRevokeCommand(program: Command, cli: Cli): void {
  const command = program
    .command("revoke")
    .summary("Revoke the certificates of a proxy, or one certificate of an operator.")
    .description(
      "Revoke the certificates of a proxy, or one certificate of an operator, in the trust log: proxies and control\n" +
        "planes refuse it from then on, and proxies close its connections. It is never taken back: a proxy that was\n" +
        "revoked joins anew with another token and an empty data folder.",
    )
    .argument("<id>", "a proxy's id, or a certificate's serial number, as `ashlar audit` has it of logins")
    .option("-m, --message <text>", "the reason, for the trust log and the audit log")
    .addOption(outputOption())
    .action(async (id: string, { message = "", output }: Flags, self: Command) => {
      const { trustSequence, serials, created } = await cli.withAdmin(self, (admin) =>
        admin.revokeIdentity({ id, reason: message }),
      );
      const count = counted(serials.length, "certificate");
      const text = created
        ? `Revoked ${count} of ${plain(id)} (trust ${trustSequence}).`
        : `Nothing to do: ${count} of ${plain(id)} ${serials.length === 1 ? "was" : "were"} revoked already.`;
      show(cli, output, { id, serials, trustSequence, created }, text);
    });
  withExample(command, 'ashlar revoke payments-a2b3c4d5 -m "stolen"');
}
