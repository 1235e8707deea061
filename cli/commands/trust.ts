import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import type { ListSigningKeysResponse, SigningKeyInfo } from "../client.js";
import { outputOption, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable, renderTime } from "../output.js";

interface ChangeFlags {
  readonly message?: string;
  readonly output: OutputFormat;
}

interface DropFlags extends ChangeFlags {
  readonly yes?: boolean;
}

/** Adds `ashlar trust show|rotate|drop`: the keys that sign what proxies follow. */
export function addTrustCommand(program: Command, cli: Cli): void {
  const command = program
    .command("trust")
    .description("Show the keys that sign revisions and activations, and replace them while the mesh runs.");
  addShowCommand(command, cli);
  addRotateCommand(command, cli);
  addDropCommand(command, cli);
  withExample(command, "ashlar trust rotate -m yearly", "ashlar trust show", "ashlar trust drop KID");
}

function addShowCommand(parent: Command, cli: Cli): void {
  const command = parent
    .command("show")
    .description("Show the trust record in force: its signing keys, and why one cannot be dropped now.")
    .addOption(outputOption())
    .action(async ({ output }: { readonly output: OutputFormat }, self: Command) => {
      const trust = await cli.withAdmin(self, (admin) => admin.listSigningKeys({}));
      show(cli, output, toJson(trust), renderTrust(trust));
    });
  withExample(command, "ashlar trust show");
}

function addRotateCommand(parent: Command, cli: Cli): void {
  const command = parent
    .command("rotate")
    .description(
      "Sign with a new key from now on. The active revision is activated again under it; the former key is trusted until it is dropped.",
    )
    .option("-m, --message <text>", "the reason, for the audit log")
    .addOption(outputOption())
    .action(async ({ message = "", output }: ChangeFlags, self: Command) => {
      const rotated = await cli.withAdmin(self, (admin) => admin.rotateSigningKey({ reason: message }));
      const { kid, previousKid, trustSequence, epoch } = rotated;
      const active = epoch === 0 ? "" : `, epoch ${epoch}`;
      // the id of a key of an earlier version may begin with "-"
      const dropped = previousKid.startsWith("-") ? `-- ${previousKid}` : previousKid;
      const next = `Once all proxies have it: ashlar trust drop ${dropped}`;
      show(
        cli,
        output,
        { kid, previousKid, trustSequence, epoch },
        `Signs with ${kid} now (trust ${trustSequence}${active}).\n${next}`,
      );
    });
  withExample(command, "ashlar trust rotate -m yearly");
}

function addDropCommand(parent: Command, cli: Cli): void {
  const command = parent
    .command("drop")
    .description("Remove a replaced key from the trust log: what it signs from then on is refused.")
    .argument("<kid>", "the key's id, as `ashlar trust show` names it; after -- if it begins with -")
    .option("-m, --message <text>", "the reason, for the audit log")
    .option(
      "--yes",
      "it is dropped although entries of journals count no more then; without it, that is refused with their number",
    )
    .addOption(outputOption())
    .action(async (kid: string, { message = "", yes = false, output }: DropFlags, self: Command) => {
      const request = { kid, reason: message, undo: yes };
      const { trustSequence } = await cli.withAdmin(self, (admin) => admin.dropSigningKey(request));
      show(cli, output, { kid, trustSequence }, `Dropped ${plain(kid)} (trust ${trustSequence}).`);
    });
  withExample(command, "ashlar trust drop 0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx");
}

function toJson({ sequence, timeMs, rootHash, revocations, signingKeys }: ListSigningKeysResponse) {
  return {
    sequence,
    time: renderTime(timeMs),
    rootHash,
    revocations,
    signingKeys: signingKeys.map(({ kid, holder, inUse, signedActive, keptBecause }) => ({
      kid,
      holder,
      inUse,
      signedActive,
      droppable: keptBecause === "",
      ...(keptBecause === "" ? {} : { keptBecause }),
    })),
  };
}

function renderTrust({ sequence, timeMs, rootHash, revocations, signingKeys }: ListSigningKeysResponse): string {
  const about = `Trust ${sequence} of ${renderTime(timeMs)}, root ${rootHash}, ${revocations === 1 ? "1 certificate" : `${revocations} certificates`} revoked.`;
  const rows = signingKeys.map((key) => [key.kid, plain(key.holder), stateOf(key), plain(key.keptBecause)]);
  return `${plain(about)}\n${renderTable(["KEY", "CONTROL PLANE", "STATE", "KEPT BECAUSE"], rows)}`;
}

function stateOf({ inUse, signedActive, keptBecause }: SigningKeyInfo): string {
  if (inUse) return "in use here";
  if (signedActive) return "signed what is active";
  return keptBecause === "" ? "can be dropped" : "trusted";
}
