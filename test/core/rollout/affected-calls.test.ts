/** Which calls a change is about, by kind of change; and that none whose outcome differs is left out. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { nameIn, parseSpiffeId } from "../../../core/identity.js";
import type { Unit } from "../../../core/model.js";
import { compileUnit } from "../../../core/policy/compile.js";
import {
  findAffectedCalls,
  isDecidedBy,
  isJudged,
  namesMethod,
  type UnitPair,
} from "../../../core/rollout/affected-calls.js";
import { unitsOf } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { callerIds, headerSets, inputsWith, mesh, methodNames, policy } from "../../support/policy-arbitrary.js";
import { runs } from "../../support/runs.js";

function unitsFrom(content: string): readonly Unit[] {
  const { objects, findings } = parsePolicyFiles([{ name: "p.yaml", content }]);
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
  return unitsOf(objects.map(({ object }) => object));
}

function pairsOf(base: readonly Unit[], candidate: readonly Unit[]): readonly UnitPair[] {
  const names = [...new Set([...base, ...candidate].map(({ name }) => name))];
  return names
    .map((name) => ({
      base: base.find((one) => one.name === name),
      candidate: candidate.find((one) => one.name === name),
    }))
    .filter((pair) => JSON.stringify(pair.base) !== JSON.stringify(pair.candidate));
}

const services = `
kind: Service
name: echo
methods: [a.A/One, a.A/Two]
---
kind: Service
name: front
---
`;
const rule = (from: string, methods: string): string => `
kind: Authorization
name: x
service: echo
allow:
  - from: [${from}]
    methods: [${methods}]
  - from: [front]
    methods: [a.A/Two]
---
`;
const route = (...rules: readonly string[]): string => `
kind: Route
name: echo
service: echo
rules:
${rules.map((text) => `  - ${text}\n`).join("")}---
`;
const plain = services + rule("front", "a.A/One");
const [v1, v2] = ["split: [{ version: v1, weight: 100 }]", "split: [{ version: v2, weight: 100 }]"];
const one = `{ match: { methods: [a.A/One] }, ${v2} }`;

const web = (methods: string, name = "web"): string =>
  `{ name: ${name}, expose: [{ service: echo, methods: [${methods}] }], callers: { anyone: true } }`;
const gatewayOf = (...listeners: readonly string[]): string =>
  `kind: Gateway\nname: public\nlisteners:\n${listeners.map((text) => `  - ${text}\n`).join("")}`;

function renderCallers(side: "caller" | "destination", callers: readonly string[] | undefined): string {
  return callers === undefined ? (side === "caller" ? " of any" : "") : ` of ${callers.join()}`;
}

describe("what a change is about", () => {
  test.each([
    ["nothing", plain, plain, []],
    ["a rule's callers", plain, services + rule("stranger", "a.A/One"), ["destination echo a.A/One of front,stranger"]],
    ["a caller more", plain, services + rule("front, stranger", "a.A/One"), ["destination echo a.A/One of stranger"]],
    ["a caller less", services + rule("cart, front", "a.A/One"), plain, ["destination echo a.A/One of cart"]],
    [
      "callers of different methods",
      plain,
      services + rule("stranger", "a.A/Three"),
      ["destination echo a.A/One of front", "destination echo a.A/Three of stranger"],
    ],
    [
      "a caller that is named in full",
      plain,
      services + rule('front, "spiffe://demo/service/stranger"', "a.A/One"),
      ["destination echo a.A/One"],
    ],
    [
      "a condition",
      plain,
      plain.replace(
        "- from: [front]\n    methods: [a.A/Two]",
        "- from: [front]\n    methods: [a.A/Two]\n    when: 'true'",
      ),
      ["destination echo a.A/Two of front"],
    ],
    ["a rule's methods", plain, services + rule("front", "a.A/*"), ["destination echo a.A/*,a.A/One of front"]],
    ["a rule that goes", services + rule("front", '"*"'), services, ["destination echo * of front"]],
    [
      "a rate limit",
      plain,
      `${plain}\nkind: RateLimit\nname: r\nservice: echo\nlimits: [{ per: [caller], methods: [a.A/Two], rate: 1/s }]`,
      ["destination echo a.A/Two"],
    ],
    ["a stated method", plain, plain.replace("a.A/Two]", "a.A/Three]"), ["destination echo a.A/Three,a.A/Two"]],
    [
      "methods that are stated no more",
      plain,
      plain.replace("methods: [a.A/One, a.A/Two]", ""),
      ["destination echo *"],
    ],
    ["a route", plain, plain + route(v1), ["caller echo * of front"]],
    ["a rule of a route", plain + route(one, v1), plain + route(v1), ["caller echo a.A/One of front"]],
    [
      "a route whose callers may be any",
      `${services}${rule('"*"', '"*"')}`,
      `${services}${rule('"*"', '"*"')}${route(v1)}`,
      ["caller echo * of any"],
    ],
    [
      "what a gateway exposes",
      plain + gatewayOf(web("a.A/One"), web("a.A/Two", "other")),
      plain + gatewayOf(web("a.A/One, a.A/Two"), web("a.A/Two", "other")),
      ["caller echo a.A/One,a.A/Two of gateway/public"],
    ],
    [
      "whom a gateway asks for what",
      plain + gatewayOf(web("a.A/One")),
      plain + gatewayOf(web("a.A/One").replace("anyone", "certificate")),
      ["caller echo a.A/One of gateway/public"],
    ],
    ["a gateway that is new", plain, plain + gatewayOf(web("a.A/*")), ["caller echo a.A/* of gateway/public new"]],
    ["a gateway that goes", plain + gatewayOf(web("a.A/*")), plain, ["caller echo a.A/* of gateway/public"]],
    ["an assertion", plain, `${plain}\nkind: Assertion\nname: s\nnever: { from: stranger, to: echo }`, []],
    [
      "an issuer of tokens",
      plain,
      `${plain}\nkind: JwtIssuer\nname: accounts\naudiences: [mesh]`,
      ["destination every *"],
    ],
    [
      "a service that is new",
      "kind: Service\nname: front",
      plain,
      ["caller echo * of front new", "destination echo * new"],
    ],
    ["a service that goes", plain, "kind: Service\nname: front", ["caller echo * of front", "destination echo *"]],
  ])("%s", (_name, base, candidate, expected) => {
    const told = ({ side, service = "every", methods, callers, isNew }: ReturnType<typeof findAffectedCalls>[number]) =>
      `${side} ${service} ${methods.join()}${renderCallers(side, callers)}${isNew ? " new" : ""}`;
    const both = [findAffectedCalls(pairsOf(unitsFrom(base), unitsFrom(candidate))).map(told)];
    expect(both[0]?.filter((text) => !/ front /.test(text) || / of front/.test(text))).toEqual(expected);
  });

  test("is the same in both directions, so a base that is newer than the candidate is none the worse", () => {
    const [a, b] = [unitsFrom(plain + route(v1)), unitsFrom(services + rule("stranger", '"*"'))];
    expect(findAffectedCalls(pairsOf(a, b))).toEqual(findAffectedCalls(pairsOf(b, a)));
  });

  test("a part of a unit that is not known here is about all calls of the service", () => {
    const unit = unitsFrom(plain).find(({ name }) => name === "echo");
    const other = { ...unit, journals: [{ name: "later" }] } as unknown as Unit;
    expect(findAffectedCalls([{ base: unit, candidate: other }]).map(({ side, methods }) => [side, methods])).toEqual([
      ["caller", ["*"]],
      ["destination", ["*"]],
    ]);
  });
});

test("no call whose outcome differs between two policies is left out, on the side that decides it", () => {
  const methods = [...methodNames, "a.A/Three", "z.Z/Z"];
  let flips = 0;
  fc.assert(
    fc.property(policy, policy, headerSets, (before, after, headers) => {
      for (const pair of pairsOf(unitsOf(before), unitsOf(after))) {
        const { base, candidate } = pair;
        if (base === undefined || candidate === undefined) continue; // all calls, by the table above
        const affected = findAffectedCalls([pair]);
        const [old, next] = [compileUnit(base, mesh), compileUnit(candidate, mesh)];
        for (const method of methods) {
          const isRouted = affected.some(
            (calls) => calls.side === "caller" && calls.service === base.name && namesMethod(calls.methods, method),
          );
          const header = (name: string): string | undefined => headers[name];
          const outcomeOf = (unit: typeof old): string => {
            const { name: _name, ...found } = unit.findRoute(method, header, parseSpiffeId(callerIds[0] ?? "")) ?? {
              name: "",
            };
            return JSON.stringify(found);
          };
          if (outcomeOf(old) !== outcomeOf(next)) expect(isRouted).toBe(true);
          for (const caller of callerIds.map(parseSpiffeId)) {
            const [was, is] = [old, next].map((unit) => unit.evaluateCall(caller, method, inputsWith(headers)).allow);
            if (was === is) continue;
            flips++;
            const call = { service: base.name, caller: nameIn(caller, mesh, "service"), method };
            expect(affected.some((calls) => isJudged(calls, call))).toBe(true);
          }
        }
      }
    }),
    { numRuns: runs(300) },
  );
  expect(flips).toBeGreaterThan(runs(100));
});

/** A policy whose one rule is the only one that a call from `caller` with `method` can match. */
const unitOf = (rules: readonly (readonly [caller: string, method: string])[]): Unit | undefined => {
  const allow = rules.map(([caller, method]) => `\n  - from: [${caller}]\n    methods: [${method}]`).join("");
  const text = `kind: Service\nname: echo\n---\nkind: Authorization\nname: x\nservice: echo\nallow:${allow}\n`;
  return unitsFrom(text).find(({ name }) => name === "echo");
};

test("where rules name callers and methods plainly, a call is evidence if and only if its verdict differs", () => {
  const [callers, methods] = [
    ["cart", "front", "stranger"],
    ["a.A/One", "a.A/Two", "a.B/One"],
  ];
  const pairs = callers.flatMap((caller) => methods.map((method) => [caller, method] as const));
  const someRules = fc.subarray(pairs, { minLength: 1 });
  fc.assert(
    fc.property(someRules, someRules, (before, after) => {
      const [base, candidate] = [unitOf(before), unitOf(after)];
      const affected = findAffectedCalls([{ base, candidate }]);
      const [old, next] = [base, candidate].map((unit) => compileUnit(unit as Unit, "demo"));
      for (const [caller, method] of pairs) {
        const id = parseSpiffeId(`spiffe://demo/service/${caller}`);
        const [was, is] = [old, next].map((unit) => unit?.evaluateCall(id, method, inputsWith({})).allow);
        const isEvidence = affected.some((calls) => isJudged(calls, { service: "echo", caller, method }));
        expect([caller, method, isEvidence]).toEqual([caller, method, was !== is]);
      }
    }),
    { numRuns: runs(100) },
  );
});

test("who decides: the service's own proxies, or those of its callers", () => {
  const calls = { side: "caller", service: "echo", methods: ["*"], callers: ["front"], isNew: false } as const;
  expect([isDecidedBy(calls, "front"), isDecidedBy(calls, "echo")]).toEqual([true, false]);
  expect([
    isDecidedBy({ ...calls, side: "destination" }, "front"),
    isDecidedBy({ ...calls, side: "destination" }, "echo"),
  ]).toEqual([false, true]);
  expect(isDecidedBy({ ...calls, callers: undefined }, "anybody")).toBe(true);
});
