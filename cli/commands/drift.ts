import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import type { AdminClient, DiffRevisionsResponse, DiffSide } from "../client.js";
import { accessToJson, objectToJson, renderAccess, renderObjects } from "../differences.js";
import { findingToJson, renderFinding } from "../findings.js";
import { outputOption, withExample } from "../options.js";
import { counted, type OutputFormat, plain } from "../output.js";
import { readPolicyFiles } from "../policy-files.js";
import { readBundle } from "../read-bundle.js";
import { besideToJson, renderBeside } from "../rollout-beside.js";

interface Flags {
  readonly file?: readonly string[];
  readonly against?: string;
  readonly output: OutputFormat;
}

/** Adds `ashlar drift`. It exits with 0 if the active revision equals the given policy, otherwise with 1. */
export function addDriftCommand(program: Command, cli: Cli): void {
  const command = program
    .command("drift")
    .summary("Say whether the mesh runs what policy files, or a bundle, say.")
    .description(
      "Compare the active revision with policy files, or with another mesh's bundle. Exit 0 if they are the same byte for\n" +
        "byte; else exit 1 and print what the active revision changes in what was given. Stores nothing.",
    )
    .option("-f, --file <path...>", 'files or folders of *.yaml, *.yml, *.json, *.proto and *.binpb; "-" is stdin')
    .option("--against <file>", "a bundle that `ashlar export --bundle` wrote, in this mesh or another")
    .addOption(outputOption())
    .action(async ({ file, against, output }: Flags, self: Command) => {
      if ((file === undefined) === (against === undefined)) self.error("error: give either --file or --against");
      const [wanted, side] = file === undefined ? await bundleSide(against ?? "") : await filesSide(cli, file);
      await cli.withAdmin(self, (admin) => compare(cli, admin, wanted, side, output));
    });
  withExample(command, "ashlar drift -f policy/", "ashlar drift --against release.ashlar -o json");
}

type NamedSide = readonly [wanted: string, side: DiffSide];

async function bundleSide(path: string): Promise<NamedSide> {
  const { bytes } = await readBundle(path);
  return [path, { side: { $case: "bundle", value: Buffer.from(bytes) } }];
}

async function filesSide(cli: Cli, paths: readonly string[]): Promise<NamedSide> {
  const files = await readPolicyFiles(paths, () => cli.readStdin());
  return [paths.join(", "), { side: { $case: "files", value: { files: [...files] } } }];
}

async function compare(cli: Cli, admin: AdminClient, wanted: string, side: DiffSide, output: OutputFormat) {
  const [status, { proxies }, answer] = await Promise.all([
    admin.getStatus({}),
    admin.listProxies({}),
    admin.diffRevisions({ from: side, to: { side: { $case: "revision", value: 0 } }, namesOnly: false }),
  ]);
  const findings = answer.findings.map(findingToJson);
  for (const finding of findings) cli.note(renderFinding(finding));
  if (findings.some(({ severity }) => severity === "error"))
    throw new AshlarError("invalid_policy", "not compared: the policy has errors");
  const { fromSnapshot, toSnapshot, objects, access } = answer;
  const drift = fromSnapshot !== toSnapshot;
  const behind = proxies.filter(({ active }) => !active).map(({ id }) => id);
  const { epoch, revision } = status;
  const { rollout } = answer;
  const json = {
    drift,
    revision,
    epoch,
    snapshot: { wanted: fromSnapshot, active: toSnapshot },
    objects: objects.map(objectToJson),
    access: access.map(accessToJson),
    behind,
    findings,
    ...besideToJson(rollout),
  };
  const beside = rollout === undefined ? "" : `\n${renderBeside(rollout)}`;
  show(cli, output, json, `${renderDrift(answer, drift, json)}${beside}`);
  if (!drift) return;
  const active = revision === 0 ? "nothing is active" : `active is revision ${revision}`;
  throw new AshlarError("stale", `the mesh does not run what ${wanted} says: ${active}`);
}

function renderDrift(
  { objects, access, toSnapshot }: DiffRevisionsResponse,
  drift: boolean,
  { revision, behind }: { readonly revision: number; readonly behind: readonly string[] },
): string {
  const late =
    behind.length === 0
      ? ""
      : ` ${counted(behind.length, "proxy does", "proxies do")} not run it: ${plain(behind.join(", "))}.`;
  if (!drift) return `No drift: revision ${revision}, snapshot ${toSnapshot}.${late}`;
  return [...renderObjects(objects), ...renderAccess(access)].join("\n");
}
