import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseSpiffeId } from "../../core/identity.js";
import type { Assertion, Unit } from "../../core/model.js";
import { runAssertions } from "../../core/policy/assertions.js";
import { compileUnit } from "../../core/policy/compile.js";
import { unitsOf } from "../../core/snapshot/build.js";
import { isMethod } from "../../core/snapshot/grammar.js";
import {
  assertions,
  callerIds,
  conditions,
  headerSets,
  inputsWith,
  mesh,
  methodNames,
  policy,
} from "../support/policy-arbitrary.js";
import { evaluateByWalking } from "../support/reference-evaluator.js";
import { runs } from "../support/runs.js";

const methods = [...methodNames, "a.A/Three", "z.Z/Z"].filter(isMethod);

describe("assertions", () => {
  test("that hold are true of every call, whatever its headers", () => {
    fc.assert(
      fc.property(policy, assertions, headerSets, (objects, claims, headers) => {
        for (const unit of unitsOf([...objects, ...claims])) {
          const compiled = compileUnit(unit, mesh);
          const failed = new Set(runAssertions(unit, compiled, mesh).map(({ assertion }) => assertion));
          for (const assertion of unit.assertions.filter((each) => !failed.has(each))) {
            for (const { caller, method } of pairsOf(assertion, unit)) {
              const { allow } = compiled.evaluateCall(parseSpiffeId(caller), method, inputsWith(headers));
              expect([assertion, caller, method, allow]).toEqual([
                assertion,
                caller,
                method,
                assertion.claim === "always",
              ]);
            }
          }
        }
      }),
      { numRuns: runs(300) },
    );
  });

  test("that do not hold come with a pair of which walking the rules says the same, whatever the headers", () => {
    fc.assert(
      fc.property(policy, assertions, headerSets, (objects, claims, headers) => {
        for (const unit of unitsOf([...objects, ...claims])) {
          for (const { assertion, caller, method, access } of runAssertions(unit, compileUnit(unit, mesh), mesh)) {
            expect(access.kind).not.toBe(assertion.claim === "never" ? "denied" : "allowed");
            if (access.kind === "conditional") continue;
            const id = caller === "*" ? "spiffe://nobody/else" : caller;
            const call = {
              caller: id.startsWith("spiffe://") ? id : `spiffe://${mesh}/service/${id}`,
              method: isMethod(method) ? method : method.replace("*", method === "*" ? "No/Body" : "Nobody"),
            };
            const ask = (text: string) => conditions.get(text)?.({ ...call, headers }) ?? "untold";
            const { allow, rule } = evaluateByWalking(unit, mesh, call.caller, call.method, ask);
            expect([call, allow]).toEqual([call, access.kind === "allowed"]);
            if (access.kind === "denied" && rule === "default-deny") expect(access.rule).toBe(rule);
          }
        }
      }),
      { numRuns: runs(300) },
    );
  });

  test("have the same verdict in a proxy that holds only this unit as with all callers of the mesh by name", () => {
    fc.assert(
      fc.property(policy, assertions, (objects, claims) => {
        for (const unit of unitsOf([...objects, ...claims])) {
          const compiled = compileUnit(unit, mesh);
          const failed = (from: readonly string[]) => {
            const named = unit.assertions.map((each) => (each.from.includes("*") ? { ...each, from } : each));
            return runAssertions({ ...unit, assertions: named }, compiled, mesh).map(({ assertion }) => assertion.name);
          };
          const names = callerIds.filter((id) => id !== "spiffe://demo/service/checkout");
          const byName = failed([...names, "checkout"]);
          // "*" is at least as strict as every caller by name
          expect(failed(["*"])).toEqual(expect.arrayContaining(byName));
        }
      }),
    );
  });
});

/** The pairs that an assertion is about, by the letter of it. */
function pairsOf({ from, methods: patterns }: Assertion, unit: Unit) {
  const callers = callerIds.filter(
    (id) => from.includes("*") || from.includes(id) || from.some((name) => id === `spiffe://${mesh}/service/${name}`),
  );
  const stated = unit.service?.methods ?? [];
  const meant = methods.filter((method) => {
    if (patterns.includes(method)) return true;
    if (stated.length > 0 && !stated.includes(method)) return false;
    return patterns.length === 0 || patterns.some((each) => each === "*" || method.startsWith(each.replace(/\*$/, "")));
  });
  return callers.flatMap((caller) => meant.map((method) => ({ caller, method })));
}
