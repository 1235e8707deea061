import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import type { DiffRevisionsResponse, DiffSide } from "../client.js";
import { renderAccess, renderObjects } from "../differences.js";
import { findingToJson, renderFinding } from "../findings.js";
import { collect, outputOption, parseNumber, withExample } from "../options.js";
import type { OutputFormat } from "../output.js";
import { readPolicyFiles } from "../policy-files.js";

interface Flags {
  readonly file?: readonly string[];
  readonly output: OutputFormat;
}

/** `ashlar diff [REV|-f PATH] [REV|-f PATH]`. */
export function addDiffCommand(program: Command, cli: Cli): void {
  const command = program
    .command("diff")
    .summary("Say what differs between two revisions or sets of files.")
    .description(
      "Say what differs between two revisions or sets of files: objects, then who gains and who loses access.\n" +
        "With one side it is compared to the active revision; with none, the active to the newest revision.",
    )
    .argument("[from]", "a revision", parseNumber)
    .argument("[to]", "a revision", parseNumber)
    .option("-f, --file <path>", "a file or folder instead of a revision; up to twice", collect)
    .addOption(outputOption())
    .action(async (from: number | undefined, to: number | undefined, flags: Flags, self: Command) => {
      const sides = await readSides(cli, [from, to], flags.file ?? [], isFileFirst(self));
      const answer = await cli.withAdmin(self, (admin) => admin.diff(sides));
      printDiff(cli, answer, flags.output);
    });
  withExample(command, "ashlar diff 3 5", "ashlar diff -f policy/");
}

async function readSides(
  cli: Cli,
  numbers: readonly (number | undefined)[],
  paths: readonly string[],
  fileFirst: boolean,
): Promise<{ from: DiffSide | undefined; to: DiffSide | undefined }> {
  const revisions = numbers
    .filter((number) => number !== undefined)
    .map((number): DiffSide => ({ side: { $case: "revision", value: number } }));
  const files: DiffSide[] = [];
  for (const path of paths) {
    const read = await readPolicyFiles([path], () => cli.readStdin());
    files.push({ side: { $case: "files", value: { files: [...read] } } });
  }
  const sides = fileFirst ? [...files, ...revisions] : [...revisions, ...files];
  if (sides.length > 2) throw new AshlarError("invalid_argument", "a diff has two sides, more were given");
  const [first, second] = sides;
  return second === undefined ? { from: undefined, to: first } : { from: first, to: second };
}

/** Options and arguments come apart in parsing; which side is which goes by the command line. */
function isFileFirst(self: Command): boolean {
  const words = (self.parent ?? self) as Command & { readonly rawArgs?: readonly string[] };
  const line = words.rawArgs ?? [];
  const file = line.findIndex((word) => /^(-f|--file)/.test(word));
  const revision = line.findIndex((word, at) => word === self.args[0] && !/^(-f|--file)$/.test(line[at - 1] ?? ""));
  return file >= 0 && (revision < 0 || file < revision);
}

function printDiff(cli: Cli, { findings: found, objects, access }: DiffRevisionsResponse, output: OutputFormat): void {
  const findings = found.map(findingToJson);
  for (const finding of findings) cli.note(renderFinding(finding));
  const lines = [...renderObjects(objects), ...renderAccess(access)];
  const isWrong = findings.some(({ severity }) => severity === "error");
  const text = lines.length > 0 ? lines.join("\n") : isWrong ? "Not compared." : "No difference.";
  const accessChanges = access.map(({ caller, service, method, change, before, after }) => ({
    caller,
    service,
    method,
    change,
    before,
    after,
  }));
  const objectChanges = objects.map(({ change, kind, name, lines: changed }) => ({
    change,
    kind,
    name,
    lines: changed,
  }));
  show(cli, output, { findings, objects: objectChanges, access: accessChanges }, text);
  if (isWrong) throw new AshlarError("invalid_policy", "the policy files have errors");
}
