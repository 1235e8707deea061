import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import {
  type Activated,
  type ActivationFlags,
  activateRevision,
  findEpochBelow,
  showInactive,
} from "../activate-revision.js";
import { type Cli, show } from "../cli.js";
import type { AdminClient, PolicyFile } from "../client.js";
import { accessToJson, objectToJson, renderAccess, renderObjects } from "../differences.js";
import { type FindingJson, findingToJson, renderFinding } from "../findings.js";
import { renderSilent } from "../fleet-progress.js";
import { outputOption, parseParent, parsePercent, timeoutOption, withExample } from "../options.js";
import { counted, type OutputFormat } from "../output.js";
import { readPolicyFiles } from "../policy-files.js";
import { confirmRemovals, emptyPolicy, findRemovals } from "../removals.js";
import { renderBegun } from "../rollout-progress.js";
import { addStageOptions, parsePlan } from "../stages.js";

interface Flags extends ActivationFlags {
  readonly file: readonly string[];
  readonly message?: string;
  readonly parent?: number;
  readonly dryRun?: boolean;
  readonly activate: boolean;
  readonly allowEmpty?: boolean;
  readonly yes?: boolean;
  readonly output: OutputFormat;
}

/** Adds `ashlar apply`: publishes, activates, and waits if asked to. */
export function addApplyCommand(program: Command, cli: Cli): void {
  const command = program
    .command("apply")
    .description("Publish policy files as the next revision and activate it. The files are the whole desired state.")
    .requiredOption(
      "-f, --file <path...>",
      'files or folders of *.yaml, *.yml, *.json, *.proto and *.binpb; "-" is stdin',
    )
    .option("-m, --message <text>", "the reason, for the log")
    .option("--parent <revision>", "fail unless this is the newest revision", parseParent)
    .option("--dry-run", "print what would change and store nothing")
    .option("--no-activate", "publish without activating")
    .option("--allow-empty", "accept files without any object, which remove the whole policy")
    .option("--yes", "do not ask before removing a service with live proxies, or more than half of all objects")
    .option("--wait", "wait until every live proxy evaluates it")
    .option("--force", "activate although proxies have not prepared it")
    .option("--threshold <percent>", "the share of live proxies that must be prepared (default: 100%)", parsePercent)
    .addOption(timeoutOption("how long to wait for proxies to prepare, and to switch"))
    .addOption(outputOption())
    .action(async (flags: Flags, self: Command) => {
      const plan = parsePlan(flags); // checked before anything is done
      if (plan !== undefined && !flags.activate)
        throw new AshlarError("invalid_argument", "--stages and --no-activate do not go together");
      if (flags.wait === true && !flags.activate) throw nothingToWaitFor();
      const files = await readPolicyFiles(flags.file, () => cli.readStdin());
      await cli.withAdmin(self, (admin) =>
        flags.dryRun
          ? dryRun(cli, admin, files, flags)
          : apply(cli, admin, files, { ...flags, timeoutGiven: self.getOptionValueSource("timeout") === "cli" }),
      );
    });
  addStageOptions(command);
  withExample(
    command,
    'ashlar apply -f policy/ -m "checkout may refund" --wait',
    "ashlar apply -f policy/ --stages 1,10%,50%,100% --hold 1m --wait",
    "ashlar apply -f policy/ --dry-run",
  );
}

/** Returns the error for --wait with --no-activate: proxies never switch to a revision that is only published. */
function nothingToWaitFor(): AshlarError {
  const what = "--wait waits until proxies evaluate the revision, which they do not with --no-activate";
  return new AshlarError("invalid_argument", `${what}: leave one out; \`ashlar blame\` shows who has prepared it`);
}

async function apply(cli: Cli, admin: AdminClient, files: readonly PolicyFile[], flags: Flags): Promise<void> {
  const { message = "", parent, output, allowEmpty = false } = flags;
  const removals = await askAboutRemovals(cli, admin, files, flags);
  const published = await admin.publishRevision({ files: [...files], message, parent, allowEmpty });
  const findings = [...removals, ...noteFindings(cli, published.findings.map(findingToJson))];
  const { revision, created } = published;
  if (revision === undefined) {
    const { epoch, headRevision } = await admin.getStatus({});
    show(cli, output, { created: false, revision: headRevision, epoch, findings }, "Nothing was published.");
    throw refused(findings, "nothing was published");
  }
  const { number } = revision;
  const what = created ? `Revision ${number} is published` : `Revision ${number} says the same already`;
  if (!flags.activate) {
    const { epoch } = await admin.getStatus({});
    show(
      cli,
      output,
      { created, revision: number, epoch, findings, digest: revision.digest },
      `${what}. Not activated.`,
    );
    return;
  }
  const about = { created, revision: number, findings, digest: revision.digest };
  let isShown = false;
  try {
    const expectedEpoch = await findEpochBelow(admin, number);
    const wanted = { revision: number, reason: message, expectedEpoch };
    const { failure, ...done } = await activateRevision({ ...cli, admin }, wanted, flags);
    const json = { ...about, ...done };
    const text =
      done.rollout === undefined
        ? renderActivated(done, flags.wait && failure === undefined)
        : renderBegun(done.rollout);
    show(cli, output, json, `${what}. ${text}`);
    isShown = true;
    if (failure !== undefined) throw failure;
  } catch (error) {
    if (!isShown) await showInactive({ cli, admin, output }, about, error);
    if (created) cli.note(`ashlar: revision ${number} was published, see \`ashlar log\``);
    throw error;
  }
}

/** Warns of removals and returns once the operator has agreed. Publishing without activation removes nothing. */
async function askAboutRemovals(cli: Cli, admin: AdminClient, files: readonly PolicyFile[], flags: Flags) {
  if (!flags.activate) return [];
  const { allowEmpty = false, yes = false } = flags;
  const { isEmpty, warnings } = await findRemovals(admin, files);
  if (isEmpty && !allowEmpty) throw emptyPolicy();
  const isMeant = yes || isEmpty; // --allow-empty includes agreement to remove everything
  await confirmRemovals(cli, warnings, { isMeant, mayAsk: !flags.file.includes("-") });
  return warnings;
}

async function dryRun(cli: Cli, admin: AdminClient, files: readonly PolicyFile[], flags: Flags): Promise<void> {
  const {
    snapshot,
    wouldCreate,
    objects,
    access,
    findings: found,
  } = await admin.validateRevision({ files: [...files] });
  const { isEmpty, warnings } = await findRemovals(admin, files);
  if (isEmpty && !flags.allowEmpty) throw emptyPolicy();
  const findings = noteFindings(cli, [...found.map(findingToJson), ...(flags.activate ? warnings : [])]);
  const wantsYes = flags.activate && warnings.length > 0 && !isEmpty;
  const { epoch, revision: active, headRevision } = await admin.getStatus({});
  if (flags.parent !== undefined && flags.parent !== headRevision) {
    throw new AshlarError("conflict", `the newest revision is ${headRevision}, not ${flags.parent}`);
  }
  const isWrong = hasError(findings);
  const wouldActivate = flags.activate && !isWrong && (wouldCreate || active !== headRevision);
  const about = {
    created: false,
    wouldCreate,
    wouldActivate,
    wantsYes,
    parent: headRevision,
    revision: headRevision,
    epoch,
  };
  const json = { ...about, findings, snapshot, objects: objects.map(objectToJson), access: access.map(accessToJson) };
  const verdict = wouldCreate
    ? `It would make revision ${headRevision + 1}. Nothing was stored.`
    : `It says what revision ${headRevision} says already. Nothing was stored.`;
  const ask = wantsYes ? ["To apply it, give --yes, or answer at a terminal."] : [];
  const text = [...renderObjects(objects), ...renderAccess(access), isWrong ? "Nothing was stored." : verdict, ...ask];
  show(cli, flags.output, json, text.join("\n"));
  if (isWrong) throw refused(findings, "it would be refused");
}

function noteFindings(cli: Cli, findings: readonly FindingJson[]): readonly FindingJson[] {
  for (const finding of findings) cli.note(renderFinding(finding));
  return findings;
}

function hasError(findings: readonly FindingJson[]): boolean {
  return findings.some(({ severity }) => severity === "error");
}

function refused(findings: readonly FindingJson[], outcome: string): AshlarError {
  const errors = findings.filter(({ severity }) => severity === "error").length;
  return new AshlarError("invalid_policy", `${outcome}: ${counted(errors, "error")} in the policy files`);
}

function renderActivated(
  { epoch, activated, tookMs, notHeard }: Omit<Activated, "failure">,
  everywhere: boolean | undefined,
): string {
  if (!activated) return `It is active at epoch ${epoch}.`;
  if (!everywhere) return `Active at epoch ${epoch} after ${tookMs} ms.`;
  const where = notHeard.length === 0 ? "everywhere" : "at every live proxy";
  return `Epoch ${epoch}, in force ${where} after ${tookMs} ms.${renderSilent(notHeard)}`;
}
