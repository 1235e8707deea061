import type { Command } from "commander";
import { parseDecisionId } from "../../core/decision/decision-record.js";
import { type Explanation, explainDecision } from "../../core/decision/explain.js";
import { isSame, judgedMethod } from "../../core/decision/redecide.js";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import { decisionToJson, describeInputs, describeRewrite } from "../decision-output.js";
import { type DecisionOfProxy, findDecision } from "../decisions.js";
import { outputOption, parseNumber, withExample } from "../options.js";
import { type OutputFormat, plain, renderPairs, renderTime } from "../output.js";
import { fetchPolicy, type PolicyUnits } from "../policy-units.js";

interface Flags {
  readonly revision?: number;
  readonly output: OutputFormat;
}

/** Adds `ashlar explain ID`: why a call was decided as it was, and what would allow it. */
export function addExplainCommand(program: Command, cli: Cli): void {
  const command = program
    .command("explain")
    .summary("Say why a call was decided as it was, and what would allow it.")
    .description(
      "Decide a recorded call again, by its own revision or another one, and say by which rule, which rule\n" +
        "comes nearest to allowing it, and the smallest change that would. The id stands in the answer to a\n" +
        "call that was refused (ashlar-decision), and in `ashlar decisions`.",
    )
    .argument("<decision-id>", "24 hexadecimal digits")
    .option("--revision <number>", "the revision that judges; default: the one that decided", parseNumber)
    .addOption(outputOption())
    .action(async (text: string, { revision, output }: Flags, self: Command) => {
      const id = parseDecisionId(text.trim().toLowerCase());
      const { found, policy } = await cli.withAdmin(self, async (admin) => {
        const decision = await findDecision(admin, id);
        return { found: decision, policy: await fetchPolicy(admin, revision ?? decision.decision.revision) };
      });
      const { decision } = found;
      const isOwn = revision === undefined || revision === decision.revision;
      const rewrites = isOwn ? "recorded" : "candidate";
      const explanation = explainDecision(decision, policy.find(decision.service), policy.mesh, rewrites);
      const { again } = explanation;
      const isReproduced = !isOwn || again.kind === "undecidable" || isSame(decision, again);
      const value = {
        ...decisionToJson(found),
        again: { by: policy.name, ...again, reproduced: isOwn ? isReproduced : undefined },
        nearest: explanation.nearest,
      };
      show(cli, output, value, render(found, policy, explanation));
      if (!isReproduced)
        throw new AshlarError("internal", `decision ${id} does not come out the same by its own revision: report this`);
    });
  withExample(
    command,
    "ashlar explain 019a3f0c2b1e4c7d9e21aa08",
    "ashlar explain 019a3f0c2b1e4c7d9e21aa08 --revision 7",
  );
}

function render(found: DecisionOfProxy, { name }: PolicyUnits, { again, nearest }: Explanation): string {
  const { service, proxyId, decision } = found;
  const { id, verdict, rule, revision, epoch, version, timeMs, caller, method, closed, shadow, mirrored, reader } =
    decision;
  const { attempts = 0 } = decision;
  const where = version === "" ? "" : ` to ${version}`;
  const marks = `${where}${closed ? ", an open stream" : ""}${shadow ? ", in shadow" : ""}${mirrored ? ", a copy of a call" : ""}${reader === undefined ? "" : `, direct from the application of ${reader}`}`;
  const pairs: (readonly [string, string])[] = [
    ["decision", `${id}, ${renderTime(timeMs)}`],
    ["call", `${caller} to ${decision.service}/${plain(method)}${describeRewrite(decision)}`],
    ["by proxy", `${proxyId} of ${service}`],
    ["then", `${verdict}${marks} by ${rule || "no route"}, revision ${revision}, epoch ${epoch}`],
    ...(attempts > 0 ? [["sent", attempts === 1 ? "once" : `${attempts} times`] as const] : []),
    ...(decision.traceId === undefined ? [] : [["trace", decision.traceId] as const]),
    ...describeInputs(decision).map((line) => ["read", plain(line)] as const),
  ];
  if (again.kind === "undecidable")
    pairs.push(["now", `not decidable by ${name}: ${again.unknown.join(", ")} was not recorded`]);
  else {
    const as = again.method === judgedMethod(decision) ? "" : ` as ${plain(again.method)}`;
    const where = `${again.version === "" ? "" : ` to ${again.version}`}${as}`;
    pairs.push(
      ["now", `${again.verdict}${where} by ${again.rule || "no route"}, ${name}`],
      ["because", plain(again.reason)],
    );
  }
  if (nearest === undefined) return renderPairs(pairs);
  if (nearest.rule !== "") pairs.push(["nearest", nearest.rule]);
  for (const { term, why } of nearest.failing) pairs.push(["fails", `${term}: ${plain(why)}`]);
  pairs.push(["change", plain(nearest.change)]);
  return renderPairs(pairs);
}
