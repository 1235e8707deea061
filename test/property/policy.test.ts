import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseSpiffeId } from "../../core/identity.js";
import { feedMethod } from "../../core/journal/feed-method.js";
import type { PolicyObject, Unit } from "../../core/model.js";
import { buildSubject } from "../../core/policy/access-plan.js";
import { compileUnit } from "../../core/policy/compile.js";
import { compileExpression } from "../../core/policy/condition/condition.js";
import { policyScope } from "../../core/policy/condition/scope.js";
import { buildSnapshot, unitsOf } from "../../core/snapshot/build.js";
import { diffUnits } from "../../core/snapshot/diff.js";
import { isMethod } from "../../core/snapshot/grammar.js";
import { diffAccess } from "../../core/snapshot/matrix.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import { renderYaml } from "../../core/snapshot/render.js";
import { whoCan } from "../../core/snapshot/who-can.js";
import { applyChanges, changesBetween, parseSnapshotList, parseUnit } from "../../core/wire/units.js";
import { accessMatrix } from "../support/access-matrix.js";
import {
  accessRule,
  type ConditionedCall,
  callerIds,
  conditions,
  headerSets,
  inputsWith,
  mesh,
  methodNames,
  policy,
  policyOfEveryKind,
} from "../support/policy-arbitrary.js";
import { evaluateByWalking } from "../support/reference-evaluator.js";
import { runs } from "../support/runs.js";

const methods = [...methodNames, "a.A/Three", "z.Z/Z", "a.A/", "*"];

describe("compiled policy", () => {
  test("decides as walking the rules does, and names the same rule", () => {
    fc.assert(
      fc.property(policy, headerSets, headerSets, (objects, ...sets) => {
        for (const unit of unitsOf(objects)) {
          const compiled = compileUnit(unit, mesh);
          const calls = callerIds.flatMap((caller) =>
            methods.flatMap((method) => sets.map((headers) => ({ caller, method, headers }))),
          );
          const decided = calls.map(({ caller, method, headers }) =>
            compiled.evaluateCall(parseSpiffeId(caller), method, inputsWith(headers)),
          );
          expect(decided.map(({ allow, rule }) => ({ allow, rule }))).toEqual(calls.map((call) => walk(unit, call)));
        }
      }),
      { numRuns: runs(250) },
    );
  });

  test("lets readers of a journal follow its events, and nobody else, as walking the rules does", () => {
    fc.assert(
      fc.property(policyOfEveryKind, headerSets, (objects, headers) => {
        for (const unit of unitsOf(objects)) {
          const compiled = compileUnit(unit, mesh);
          const calls = callerIds.map((caller) => ({ caller, method: feedMethod, headers }));
          const decided = calls.map(({ caller, method }) =>
            compiled.evaluateCall(parseSpiffeId(caller), method, inputsWith(headers)),
          );
          expect(decided.map(({ allow, rule }) => ({ allow, rule }))).toEqual(calls.map((call) => walk(unit, call)));
        }
      }),
    );
  });

  test("counts a condition that cannot be told against the call, where only the pair is known", () => {
    fc.assert(
      fc.property(policy, headerSets, (objects, headers) => {
        for (const unit of unitsOf(objects)) {
          const compiled = compileUnit(unit, mesh);
          const tooMany = callerIds.map(parseSpiffeId).flatMap((caller) =>
            methods.filter((method) => {
              const { allow } = compiled.evaluate(caller, method);
              return allow && !compiled.evaluateCall(caller, method, inputsWith(headers)).allow;
            }),
          );
          expect(tooMany).toEqual([]);
        }
      }),
    );
  });

  test("never allows more for a deny that is added", () => {
    fc.assert(
      fc.property(policy, accessRule(0), headerSets, (objects, deny, headers) => {
        const stricter = objects.map((each) =>
          each.kind === "Authorization" ? { ...each, deny: [...each.deny, deny] } : each,
        );
        expect(gained(objects, stricter, headers)).toEqual([]);
      }),
    );
  });

  test("never allows more for an allow that is removed (I10)", () => {
    fc.assert(
      fc.property(policy, headerSets, (objects, headers) => {
        const stricter = objects.map((each) =>
          each.kind === "Authorization" ? { ...each, allow: each.allow.slice(1) } : each,
        );
        expect(gained(objects, stricter, headers)).toEqual([]);
      }),
    );
  });
});

describe("snapshots", () => {
  test("have the same digest whatever the order of what they are built from", () => {
    const shuffled = policy.chain((objects) =>
      fc.tuple(fc.constant(objects), fc.shuffledSubarray([...objects], { minLength: objects.length })),
    );
    fc.assert(
      fc.property(shuffled, ([objects, others]) => {
        const reversed = others.map((each) =>
          each.kind === "Service" ? { ...each, methods: [...each.methods].reverse() } : each,
        );
        expect(buildSnapshot(reversed).list.digest).toBe(buildSnapshot(objects).list.digest);
      }),
    );
  });

  test("come back whole from their bytes", () => {
    fc.assert(
      fc.property(policyOfEveryKind, (objects) => {
        const { list, units } = buildSnapshot(objects);
        expect(parseSnapshotList(list.bytes, list.digest)).toEqual(list);
        for (const { unit, bytes, digest } of units)
          expect(parseUnit(bytes, { name: unit.name, digest })).toEqual(unit);
      }),
    );
  });

  test("are what their changes make of the snapshot before", () => {
    fc.assert(
      fc.property(policy, policy, fc.nat(3), (objects, others, cut) => {
        const gone = ["cart", "checkout", "payments"][cut];
        const kept = others.filter((each) => ("service" in each ? each.service : each.name) !== gone);
        const before = buildSnapshot(objects).list;
        const after = buildSnapshot(kept).list;
        expect(applyChanges(before, changesBetween(before, after))).toEqual(after);
        expect(changesBetween(before, before)).toEqual([]);
      }),
    );
  });

  test("are built again, digest for digest, from the files they render to", () => {
    fc.assert(
      fc.property(policyOfEveryKind, (objects) => {
        const content = renderYaml(unitsOf(objects));
        const parsed = parsePolicyFiles([{ name: "rendered.yaml", content }]);
        expect(parsed.findings).toEqual([]);
        expect(buildSnapshot(parsed.objects.map(({ object }) => object)).list.digest).toBe(
          buildSnapshot(objects).list.digest,
        );
      }),
      { numRuns: runs(200) },
    );
  });

  test("do not differ from themselves", () => {
    fc.assert(
      fc.property(policy, (objects) => {
        expect(diffUnits(unitsOf(objects), unitsOf(objects))).toEqual({ objects: [] });
        expect(diffAccess(unitsOf(objects), unitsOf(objects), mesh)).toEqual({ pairs: [], complete: true });
      }),
    );
  });

  test("of a unit with one flipped bit are refused by digest (I3)", () => {
    fc.assert(
      fc.property(policy, fc.nat(), (objects, position) => {
        for (const { unit, bytes, digest } of buildSnapshot(objects).units) {
          const bad = Uint8Array.from(bytes);
          const at = position % (bytes.length * 8);
          bad[at >> 3] = (bad[at >> 3] ?? 0) ^ (1 << (at & 7));
          expect(() => parseUnit(bad, { name: unit.name, digest })).toThrow(/do not have the digest/);
        }
      }),
    );
  });
});

describe("the access matrix", () => {
  test("lists the callers of a method with the rule that decides, as evaluateCall and the reference do", () => {
    fc.assert(
      fc.property(policy, headerSets, (objects, headers) => {
        const units = unitsOf(objects);
        for (const unit of units.filter(({ service }) => service !== undefined)) {
          const compiled = compileUnit(unit, mesh);
          for (const method of methodNames) {
            const callers = new Map(whoCan(units, unit.name, method, mesh)?.map((row) => [row.caller, row]));
            for (const caller of callerIds) {
              const row = callers.get(rowOf(units, unit, caller, method).split(" ")[0] ?? "");
              const decided = compiled.evaluateCall(parseSpiffeId(caller), method, inputsWith(headers));
              const call = { caller, method, headers };
              const when = row?.access === "conditional" ? row.condition : row?.access === "allowed" ? "" : undefined;
              expect([call, holds(when, call)]).toEqual([call, decided.allow]);
              if (row?.access === "allowed") expect(row.condition).toBe("");
              if (row?.access === "denied") expect(walk(unit, call).allow).toBe(false);
            }
          }
        }
      }),
      { numRuns: runs(150) },
    );
  });

  test("says of every pair what evaluateCall says, everyone else and every other method included", () => {
    fc.assert(
      fc.property(policy, headerSets, (objects, headers) => {
        const units = unitsOf(objects);
        const rows = new Map(
          accessMatrix(units, mesh).pairs.map((row) => [`${row.caller} ${row.service} ${row.method}`, row.when]),
        );
        for (const unit of units.filter(({ service }) => service !== undefined)) {
          const compiled = compileUnit(unit, mesh);
          const pairs = callerIds.flatMap((caller) => methods.filter(isMethod).map((method) => ({ caller, method })));
          const said = pairs.map((pair) => ({
            ...pair,
            allow: holds(rows.get(rowOf(units, unit, pair.caller, pair.method)), { ...pair, headers }),
          }));
          expect(said).toEqual(
            pairs.map(({ caller, method }) => {
              const { allow } = compiled.evaluateCall(parseSpiffeId(caller), method, inputsWith(headers));
              return { caller, method, allow };
            }),
          );
        }
      }),
      { numRuns: runs(200) },
    );
  });
});

/** Whether a row of the matrix allows a call: it is there, and its condition, if any, comes to true. */
function holds(when: string | undefined, { caller, method, headers }: ConditionedCall): boolean {
  if (when === undefined || when === "") return when === "";
  const compiled = compileExpression(when, policyScope, "bool");
  if (!("reads" in compiled)) throw new Error(`${when}: ${compiled[0]?.message}`);
  return compiled.evaluate(buildSubject(parseSpiffeId(caller), method, mesh), inputsWith(headers)) === true;
}

function walk(unit: Unit, call: ConditionedCall) {
  const ask = (text: string) => conditions.get(text)?.(call) ?? "untold";
  return evaluateByWalking(unit, mesh, call.caller, call.method, ask);
}

/** Calls that are allowed afterwards and were not before. */
function gained(before: readonly PolicyObject[], after: readonly PolicyObject[], headers: ConditionedCall["headers"]) {
  const inputs = inputsWith(headers);
  const old = new Map(unitsOf(before).map((unit) => [unit.name, compileUnit(unit, mesh)]));
  return unitsOf(after).flatMap((unit) => {
    const young = compileUnit(unit, mesh);
    return callerIds.map(parseSpiffeId).flatMap((caller) =>
      methods.filter((method) => {
        const was = old.get(unit.name)?.evaluateCall(caller, method, inputs).allow;
        return young.evaluateCall(caller, method, inputs).allow && was !== true;
      }),
    );
  });
}

/** The row that a pair belongs to: its own, or that of the rest it is part of. */
function rowOf(units: readonly Unit[], unit: Unit, caller: string, method: string): string {
  const rules = units.flatMap((each) => each.authorizations.flatMap(({ allow, deny }) => [...allow, ...deny]));
  const own = unit.authorizations.flatMap(({ allow, deny }) => [...allow, ...deny]).flatMap((rule) => rule.methods);
  const name = caller.startsWith(`spiffe://${mesh}/service/`)
    ? caller.slice(`spiffe://${mesh}/service/`.length)
    : caller;
  const callerLabel = name !== caller || rules.some((rule) => rule.from.includes(caller)) ? name : "*";
  const stated = unit.service?.methods ?? [];
  if (stated.length > 0 || own.includes(method)) return `${callerLabel} ${unit.name} ${method}`;
  const pattern = `${method.slice(0, method.indexOf("/"))}/*`;
  return `${callerLabel} ${unit.name} ${own.includes(pattern) ? pattern : "*"}`;
}
