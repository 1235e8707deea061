import { type Command, InvalidArgumentError } from "commander";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { buildSpiffeId } from "../../core/identity.js";
import { unitsOf } from "../../core/snapshot/build.js";
import { checkPolicy } from "../../core/snapshot/check.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import { parseCases } from "../../core/testing/parse-cases.js";
import { type CaseResult, runCases } from "../../core/testing/run-cases.js";
import { type Cli, show } from "../cli.js";
import { renderFinding } from "../findings.js";
import { outputOption, withExample } from "../options.js";
import { counted, type OutputFormat, plain } from "../output.js";
import { readPolicyFiles, readTestFiles } from "../policy-files.js";

interface Flags {
  readonly file: readonly string[];
  readonly mesh: string;
  readonly output: OutputFormat;
}

/** Adds `ashlar test -f PATH...`. It asks no control plane. */
export function addTestCommand(program: Command, cli: Cli): void {
  const command = program
    .command("test")
    .summary("Run the tests beside policy files; no server is needed.")
    .description(
      "Run the tests beside policy files (*.test.yaml): calls with their expected verdicts.\n" +
        "No server is needed. Exit 1 if one fails or the policy has errors.",
    )
    .requiredOption("-f, --file <path...>", "policy and tests: files, or folders with all below them")
    .option("--mesh <name>", "the mesh's name, which SPIFFE IDs have in them", parseMesh, "mesh")
    .addOption(outputOption())
    .action(async ({ file: paths, mesh, output }: Flags) => {
      const testFiles = await readTestFiles(paths);
      const { objects, findings: parsing } = parsePolicyFiles(await readPolicyFiles(paths, () => cli.readStdin()));
      const services = objects
        .filter(({ object }) => object.kind === "Service" || object.kind === "Egress")
        .map(({ object }) => object.name);
      const { cases, findings: casing } = parseCases(testFiles, services);
      const findings = [...parsing, ...checkPolicy(objects, { mesh }), ...casing];
      for (const finding of findings) cli.note(renderFinding(finding));
      const errors = findings.filter(({ severity }) => severity === "error").length;
      const results =
        errors > 0 ? [] : runCases(unitsOf(objects.map(({ object }) => object)), cases, mesh, cli.clock.nowMs());
      const failed = results.filter(({ passed }) => !passed).length;
      const value = { passed: results.length - failed, failed, cases: results.map(resultToJson), findings };
      show(cli, output, value, errors > 0 ? "Not run." : renderResults(results, failed));
      if (errors > 0) throw new AshlarError("invalid_policy", `${counted(errors, "error")} in the files`);
      if (failed > 0) throw new AshlarError("invalid_policy", `${counted(failed, "case")} failed`);
    });
  withExample(command, "ashlar test -f policy/", "ashlar test -f policy/ --mesh shop -o json");
}

function parseMesh(text: string): string {
  try {
    buildSpiffeId(text, "service", "a");
    return text;
  } catch (error) {
    if (isAshlarError(error)) throw new InvalidArgumentError("Expected the name of a mesh, such as shop.");
    throw error;
  }
}

function resultToJson({ case: one, passed, decision }: CaseResult) {
  const { name, file, line, allowed, rule } = one;
  const { allow, rule: decider, reason } = decision;
  const expected = { allowed, ...(rule === undefined ? {} : { rule }) };
  return { name, file, line, passed, expected, actual: { allowed: allow, rule: decider, reason } };
}

function renderResults(results: readonly CaseResult[], failed: number): string {
  const lines: string[] = [];
  let file: string | undefined;
  for (const { case: one, passed, decision } of results) {
    if (one.file !== file) lines.push(plain(one.file));
    file = one.file;
    lines.push(`  ${passed ? "ok    " : "FAILED"}  ${plain(one.name)}`);
    if (passed) continue;
    const by = one.rule === undefined ? "" : ` by ${one.rule}`;
    const found = `${verdict(decision.allow)} by ${decision.rule}`;
    lines.push(`          line ${one.line}: expected ${verdict(one.allowed)}${plain(by)}, got ${found}`);
    lines.push(`          ${plain(decision.reason)}`);
  }
  const sum = `${counted(results.length, "case")}: ${results.length - failed} passed, ${failed} failed.`;
  return [...lines, ...(lines.length > 0 ? [""] : []), sum].join("\n");
}

function verdict(allowed: boolean): string {
  return allowed ? "allowed" : "denied";
}
