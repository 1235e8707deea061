import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type ActivationFlags, activateRevision, findEpochBelow, showInactive } from "../activate-revision.js";
import { type Cli, show } from "../cli.js";
import { findingToJson, renderFinding } from "../findings.js";
import { outputOption, parseParent, parseRootHash, timeoutOption, withExample } from "../options.js";
import { counted, type OutputFormat } from "../output.js";
import { readBundle } from "../read-bundle.js";
import { findRemovalsTo, type Removals } from "../removals.js";

interface Flags extends ActivationFlags {
  readonly message?: string;
  readonly parent?: number;
  readonly rootHash?: string;
  readonly activate: boolean;
  readonly allowEmpty?: boolean;
  readonly output: OutputFormat;
}

const noRemovals: Removals = { isEmpty: false, warnings: [] };

/** Adds `ashlar import FILE`: publishes what another mesh exported, byte for byte. */
export function addImportCommand(program: Command, cli: Cli): void {
  const command = program
    .command("import")
    .summary("Publish the bundle of another mesh as the next revision and activate it.")
    .description(
      "Publish the bundle of another mesh as the next revision and activate it: the same bytes with the same digest.\n" +
        "It is checked like any policy. A bundle that was cut short or altered is refused.",
    )
    .argument("<file>", "as `ashlar export --bundle` wrote it")
    .option("-m, --message <text>", "why, for the log (default: where it comes from)")
    .option("--parent <revision>", "fail unless this is the newest revision", parseParent)
    .option("--root-hash <hash>", "fail unless it comes from the mesh with this root hash", parseRootHash)
    .option("--no-activate", "publish without activating")
    .option("--allow-empty", "accept a bundle without any object, which removes the whole policy")
    .option("--wait", "wait until every live proxy evaluates it")
    .addOption(timeoutOption("how long to wait for proxies to prepare, and to switch"))
    .addOption(outputOption())
    .action((path: string, flags: Flags, self: Command) => importBundle(cli, path, flags, self));
  withExample(command, "ashlar import release.ashlar --wait", "ashlar import release.ashlar --no-activate -o json");
}

async function importBundle(cli: Cli, path: string, flags: Flags, self: Command): Promise<void> {
  const { message = "", parent, rootHash = "", activate, allowEmpty = false, output } = flags;
  const { bytes, bundle } = await readBundle(path);
  const { mesh, revision: origin, snapshot } = bundle;
  const from = { mesh, rootHash: bundle.rootHash, revision: origin.body.number, author: origin.body.author };
  await cli.withAdmin(self, async (admin) => {
    const value = Buffer.from(bytes);
    const { warnings } = activate ? await findRemovalsTo(admin, { side: { $case: "bundle", value } }) : noRemovals;
    const request = { bundle: value, message, parent, rootHash, allowEmpty };
    const { findings: found, created, revision } = await admin.importRevision(request);
    const findings = [...warnings, ...found.map(findingToJson)];
    for (const finding of findings) cli.note(renderFinding(finding));
    const about = { created, findings, snapshot: snapshot.list.digest, from };
    if (revision === undefined) {
      const { epoch, headRevision } = await admin.getStatus({});
      show(cli, output, { ...about, revision: headRevision, epoch }, "Nothing was published.");
      throw new AshlarError(
        "invalid_policy",
        `nothing was published: ${counted(findings.length, "finding")} in the bundle`,
      );
    }
    const { number } = revision;
    const what = created ? `Revision ${number} is published` : `Revision ${number} says the same already`;
    const origins = `${what}, as revision ${origin.body.number} of mesh ${mesh} says it.`;
    if (!activate) {
      const { epoch } = await admin.getStatus({});
      show(cli, output, { ...about, revision: number, epoch, digest: revision.digest }, `${origins} Not activated.`);
      return;
    }
    const activateImported = async () => {
      const expectedEpoch = await findEpochBelow(admin, number);
      return activateRevision({ ...cli, admin }, { revision: number, reason: message, expectedEpoch }, flags);
    };
    const { failure, ...done } = await activateImported().catch(async (error: unknown) => {
      await showInactive({ cli, admin, output }, { ...about, revision: number, digest: revision.digest }, error);
      if (created) cli.note(`ashlar: revision ${number} was published, see \`ashlar log\``);
      throw error;
    });
    const text = `${origins} ${done.activated ? "Active" : "It is active"} at epoch ${done.epoch}.`;
    show(cli, output, { ...about, ...done, digest: revision.digest }, text);
    if (failure !== undefined) throw failure;
  });
}
