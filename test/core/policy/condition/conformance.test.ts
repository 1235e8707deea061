import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { compileExpression } from "../../../../core/policy/condition/condition.js";
import { areEqual, Failure, type Value } from "../../../../core/policy/condition/values.js";
import { type CelCase, celCases } from "../../../support/cel-cases.js";

const golden = join("test", "golden", "conditions", "left-out.txt");
const unbounded = { spend: () => true };

/** What became of a case: it agrees, it is refused with a reason, or it gives something else. */
function judge({ expression, scope, expected }: CelCase): "agrees" | { left: string } | { wrong: unknown } {
  if (scope === undefined || expected === undefined) return { left: "values, names or results that conditions lack" };
  const compiled = compileExpression(expression, scope, undefined);
  if (!("reads" in compiled)) return { left: (compiled[0]?.message ?? "").replace(/"[^"]*"/g, '"…"') };
  const outcome = compiled.evaluate(undefined, undefined);
  if (expected.kind === "failure") return outcome instanceof Failure ? "agrees" : { wrong: outcome };
  return !(outcome instanceof Failure) && same(outcome, expected.value) ? "agrees" : { wrong: outcome };
}

/** Compares results as the specification does: of one kind, and NaN is NaN. */
function same(a: Value, b: Value): boolean {
  return typeof a === typeof b && (areEqual(a, b, unbounded) || (Number.isNaN(a) && Number.isNaN(b)));
}

describe("CEL's own conformance cases", () => {
  const judged = celCases().map((each) => ({ each, verdict: judge(each) }));

  test("come out as specified wherever our checker lets them in", () => {
    const wrong = judged.flatMap(({ each, verdict }) =>
      typeof verdict === "object" && "wrong" in verdict
        ? [`${each.name}: ${each.expression} => ${render(verdict.wrong)}`]
        : [],
    );
    expect(wrong).toEqual([]);
    expect(judged.filter(({ verdict }) => verdict === "agrees").length).toBe(601);
  });

  test("are left out for reasons that are written down", () => {
    const reasons = new Map<string, number>();
    for (const { each, verdict } of judged) {
      if (typeof verdict !== "object" || !("left" in verdict)) continue;
      const line = `${each.name.split("/", 2).join("/")}: ${verdict.left}`;
      reasons.set(line, (reasons.get(line) ?? 0) + 1);
    }
    const found = [...reasons]
      .map(([line, count]) => `${line} (${count})\n`)
      .sort()
      .join("");
    if (process.env.UPDATE_GOLDEN === "1") writeFileSync(golden, found);
    expect(found).toBe(readFileSync(golden, "utf8"));
  });
});

function render(value: unknown): string {
  if (value instanceof Failure) return `failure: ${value.reason}`;
  return JSON.stringify(value, (_, each) => (typeof each === "bigint" ? `${each}n` : each)) ?? String(value);
}
