import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import type { DiffRevisionsResponse, DiffSide } from "../client.js";
import { accessToJson, objectToJson, renderAccess, renderObjects } from "../differences.js";
import { findingToJson, renderFinding } from "../findings.js";
import { outputOption, parseNumber, withExample } from "../options.js";
import type { OutputFormat } from "../output.js";
import { readPolicyFiles } from "../policy-files.js";
import { readBundle } from "../read-bundle.js";
import { besideToJson, renderBeside } from "../rollout-beside.js";

/** A side of the diff that an option names. */
interface GivenSide {
  readonly kind: "files" | "proxy" | "bundle";
  readonly value: string;
}

/** Adds `ashlar diff`: compares any two of revisions, sets of files, bundles, and what proxies run. */
export function addDiffCommand(program: Command, cli: Cli): void {
  const given: GivenSide[] = []; // in the order of the command line, whichever options they are
  // a parser with two parameters marks an option that collects values (refuseTwice)
  const side = (kind: GivenSide["kind"]) => (value: string, _before: unknown) => given.push({ kind, value });
  const command = program
    .command("diff")
    .summary("Say what differs between two revisions or sets of files.")
    .description(
      "Compare two policies: revisions, files, bundles, or what a proxy runs. Prints the objects that differ, then who\n" +
        "gains and who loses access. One side alone is compared with the active revision; without sides, the active\n" +
        "revision is compared with the newest.",
    )
    .argument("[from]", "a revision", parseNumber)
    .argument("[to]", "a revision", parseNumber)
    .option("-f, --file <path>", "a file or folder instead of a revision; up to twice", side("files"))
    .option("--proxy <id>", "what this proxy evaluates instead of a revision; up to twice", side("proxy"))
    .option("--bundle <file>", "what a bundle says instead of a revision; up to twice", side("bundle"))
    .addOption(outputOption())
    .action(
      async (from: number | undefined, to: number | undefined, { output }: { output: OutputFormat }, self: Command) => {
        const sides = await readSides(cli, [from, to], given, isOptionFirst(self));
        const answer = await cli.withAdmin(self, (admin) => admin.diffRevisions({ ...sides, namesOnly: false }));
        printDiff(cli, answer, output);
      },
    );
  withExample(command, "ashlar diff 3 5", "ashlar diff -f policy/", "ashlar diff --proxy payments-a2b3c4d5");
}

async function readSides(
  cli: Cli,
  numbers: readonly (number | undefined)[],
  given: readonly GivenSide[],
  optionFirst: boolean,
): Promise<{ from: DiffSide | undefined; to: DiffSide | undefined }> {
  const revisions = numbers
    .filter((number) => number !== undefined)
    .map((number): DiffSide => ({ side: { $case: "revision", value: number } }));
  const others: DiffSide[] = [];
  for (const one of given) others.push(await readSide(cli, one));
  const sides = optionFirst ? [...others, ...revisions] : [...revisions, ...others];
  if (sides.length > 2) throw new AshlarError("invalid_argument", "a diff has two sides, more were given");
  const [first, second] = sides;
  return second === undefined ? { from: undefined, to: first } : { from: first, to: second };
}

async function readSide(cli: Cli, { kind, value }: GivenSide): Promise<DiffSide> {
  switch (kind) {
    case "files": {
      const files = await readPolicyFiles([value], () => cli.readStdin());
      return { side: { $case: "files", value: { files: [...files] } } };
    }
    case "bundle":
      return { side: { $case: "bundle", value: Buffer.from((await readBundle(value)).bytes) } };
    case "proxy":
      return { side: { $case: "proxy", value } };
  }
}

const sideOption = /^(-f|--file|--proxy|--bundle)/;

/** Returns the sides in the order of the command line, because commander parses options and arguments separately. */
function isOptionFirst(self: Command): boolean {
  const words = (self.parent ?? self) as Command & { readonly rawArgs?: readonly string[] };
  const line = words.rawArgs ?? [];
  const option = line.findIndex((word) => sideOption.test(word));
  const isValue = (at: number): boolean => /^(-f|--file|--proxy|--bundle)$/.test(line[at - 1] ?? "");
  const revision = line.findIndex((word, at) => word === self.args[0] && !isValue(at));
  return option >= 0 && (revision < 0 || option < revision);
}

/** Returns the compared revisions. */
function renderSides({ fromRevision, toRevision }: DiffRevisionsResponse): string {
  const [from, to] = [fromRevision, toRevision].map((number) => (number === 0 ? "" : `revision ${number}`));
  if (from === "" && to === "") return "";
  return `Compared: ${from || "what was given"} with ${to || "what was given"}. `;
}

function printDiff(cli: Cli, answer: DiffRevisionsResponse, output: OutputFormat): void {
  const { findings: found, objects, access, rollout } = answer;
  const findings = found.map(findingToJson);
  for (const finding of findings) cli.note(renderFinding(finding));
  const lines = [...renderObjects(objects), ...renderAccess(access)];
  const isWrong = findings.some(({ severity }) => severity === "error");
  const text = lines.length > 0 ? lines.join("\n") : isWrong ? "Not compared." : "No difference.";
  const { fromSnapshot, toSnapshot, fromRevision, toRevision } = answer;
  const json = { findings, objects: objects.map(objectToJson), access: access.map(accessToJson) };
  const about = { fromSnapshot, toSnapshot, fromRevision, toRevision, ...besideToJson(rollout) };
  const beside = rollout === undefined ? "" : `\n\n${renderSides(answer)}${renderBeside(rollout)}`;
  show(cli, output, isWrong ? json : { ...json, ...about }, `${text}${beside}`);
  if (isWrong) throw new AshlarError("invalid_policy", "the policy files have errors");
}
