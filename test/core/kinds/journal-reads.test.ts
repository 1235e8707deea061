/** Reads that go to a replica: what is refused when they are published, and where calls go. */
import { describe, expect, test } from "@jest/globals";
import { type DecisionRecord, noInputs } from "../../../core/decision/decision-record.js";
import { redecide } from "../../../core/decision/redecide.js";
import { buildSpiffeId } from "../../../core/identity.js";
import type { KnownEndpoint } from "../../../core/kinds/checker.js";
import { compileUnit } from "../../../core/policy/compile.js";
import { chooseAmong } from "../../../core/route/choose-target.js";
import { buildSnapshot, unitsOf } from "../../../core/snapshot/build.js";
import { checkPolicy } from "../../../core/snapshot/check.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { renderObject } from "../../../core/snapshot/render.js";

const policy = (reads: string, route = "{ split: [{ version: v1, weight: 1 }] }"): string => `kind: Service
name: ledger
noSideEffects: [bank.Ledger/Balance, bank.Ledger/List]
---
kind: Route
name: ledger
service: ledger
rules: [${route}]
---
kind: Journal
name: books
service: ledger
methods: [bank.Ledger/Transfer, bank.Ledger/List]
mode: before
response: bytes
reads: ${reads}
`;

const replica = "{ replica: { version: v2 } }";
const parsed = (content: string) => parsePolicyFiles([{ name: "p.yaml", content }]);

function problems(endpoints: readonly KnownEndpoint[] | undefined): readonly string[] {
  const knownEndpoints = endpoints && new Map([["ledger", endpoints]]);
  return checkPolicy(parsed(policy(replica)).objects, { mesh: "demo", knownEndpoints })
    .filter(({ field }) => field === "reads")
    .map(({ severity, message }) => `${severity}: ${message}`);
}

const endpoint = (instance: string, version: string, reportsApplied?: boolean): KnownEndpoint => ({
  instance,
  version,
  labels: [],
  ...(reportsApplied === undefined ? {} : { reportsApplied }),
});

describe("publishing", () => {
  test("is refused while an application of the replica does not report what it has applied", () => {
    expect(problems([endpoint("a", "v2", true), endpoint("b", "v2"), endpoint("c", "v1")])).toEqual([
      expect.stringMatching(/^error: the application of b \(v2\) does not report what it has applied/),
    ]);
    expect(problems([endpoint("a", "v2", true), endpoint("c", "v1")])).toEqual([]);
  });

  test("warns where no instance of the replica is there, and says nothing where nobody knows", () => {
    expect(problems([endpoint("c", "v1")])).toEqual([
      expect.stringMatching(/^warning: no instance of ledger \(v2\) takes calls now/),
    ]);
    expect(problems(undefined)).toEqual([]);
  });

  test.each([
    ["{ version: v1 }", "{ version: v1, labels: { role: copy } }", [], /rules\[0\] of Route ledger sends calls to it/],
    ["{ labels: { zone: a } }", "{ labels: { zone: a, role: copy } }", [], /sends calls to it/],
    [
      "{ version: v1 }",
      "{ labels: { role: copy } }",
      ["c"],
      /rules\[0\] of Route ledger sends calls to c, which is of it/,
    ],
    ["{ version: v1, labels: { role: main } }", "{ labels: { role: copy } }", [], undefined],
    ["{ version: v2 }", "{ labels: { role: copy } }", [], undefined],
  ])("is refused where %s takes calls of the replica %s", (target, of, instances, expected) => {
    const labels = [{ key: "role", value: "copy" }];
    const there = ["c"].map((instance) => ({ ...endpoint(instance, "v1", true), labels }));
    const knownEndpoints = new Map([["ledger", there]]);
    const route = `{ split: [${target.replace("}", ", weight: 1 }")}, { version: v9, weight: 1 }] }`;
    const found = checkPolicy(parsed(policy(`{ replica: ${of} }`, route)).objects, { mesh: "demo", knownEndpoints })
      .filter(({ field, severity }) => field === "reads" && severity === "error")
      .map(({ message }) => message);
    expect(found).toEqual(expected === undefined ? [] : [expect.stringMatching(expected)]);
    for (const instance of instances) expect(found[0]).toContain(instance);
  });

  test("is refused where a try ends before the wait does: its caller would get 4, and not the primary's answer", () => {
    const problemsWith = (perTry: string) => {
      const retry = `retry: { attempts: 2, on: [UNAVAILABLE], perTryTimeout: ${perTry} }`;
      const route = `{ split: [{ version: v1, weight: 1 }], ${retry} }`;
      const { objects, findings } = parsed(policy("{ replica: { version: v2, wait: 500ms } }", route));
      const found = checkPolicy(objects, { mesh: "demo" }).filter(({ field }) => field === "reads");
      return [...findings, ...found].map(({ severity, message }) => `${severity}: ${message}`);
    };
    expect(problemsWith("500ms")).toEqual([
      "error: a try by rules[0] of Route ledger ends after 500ms, before a read has waited for 500ms, and does not go to the primary then: make the wait shorter than perTryTimeout",
    ]);
    expect(problemsWith("501ms")).toEqual([]);
  });

  test("proxied is the same bytes as no field, and a replica is rendered as it was written", () => {
    const built = (reads: string) => buildSnapshot(parsed(policy(reads)).objects.map(({ object }) => object));
    const without = policy("").replace(/reads: \n/, "");
    const bare = buildSnapshot(parsed(without).objects.map(({ object }) => object));
    expect(built("proxied").list.digest).toBe(bare.list.digest);
    const written = "{ replica: { version: v2, labels: { role: copy }, wait: 250ms } }";
    const [, , journal] = parsed(policy(written)).objects.map(({ object }) => object);
    expect(journal === undefined ? "" : renderObject(journal)).toMatch(
      /reads:\n {2}replica:\n {4}version: v2\n {4}labels:\n {6}role: copy\n {4}wait: 250ms/,
    );
  });
});

describe("routing", () => {
  const front = buildSpiffeId("demo", "service", "front");
  const compiled = (reads: string, route?: string) => {
    const objects = parsed(policy(reads, route)).objects.map(({ object }) => object);
    const unit = unitsOf(objects).find(({ name }) => name === "ledger");
    if (unit === undefined) throw new Error("no unit");
    return compileUnit(unit, "demo");
  };
  const all = [
    { version: "v1", labels: [] },
    { version: "v2", labels: [] },
  ];
  const targetOf = (unit: ReturnType<typeof compiled>, method: string, there: typeof all): string => {
    const rule = unit.findRoute(method, () => undefined, front);
    const choice = chooseAmong(rule, { draw: 0.5, key: undefined, service: "ledger" }, there);
    return choice.kind === "target" ? choice.target.version : choice.kind;
  };

  test.each([
    ["a read goes to the replica", "bank.Ledger/Balance", all, "v2"],
    ["a write goes to the primary", "bank.Ledger/Transfer", all, "v1"],
    ["what the journal names is a write, whatever the service marks", "bank.Ledger/List", all, "v1"],
    ["the feed is no read", "ashlar.v1.JournalFeedService/Follow", all, "v1"],
    ["a read goes to the primary while no replica is there", "bank.Ledger/Balance", all.slice(0, 1), "v1"],
    ["a write never goes to the replica", "bank.Ledger/Transfer", all.slice(1), "none"],
  ] as const)("%s", (_, method, there, expected) => {
    expect(targetOf(compiled(replica), method, [...there])).toBe(expected);
  });

  test("without reads in the policy all go by the route", () => {
    expect(targetOf(compiled("proxied"), "bank.Ledger/Balance", all)).toBe("v1");
  });

  test("a read keeps what its rule says, but hedging", () => {
    const rule =
      "{ split: [{ version: v1, weight: 1 }], timeout: 2s, hedge: { attempts: 2, delay: 5ms }, rewrite: { method: bank.Ledger/Balance } }";
    const found = compiled(replica, rule).findRoute("old.Ledger/Read", () => undefined, front);
    expect(found).toMatchObject({
      name: "ledger/rules[0]",
      targets: ["v2"],
      timeoutMs: 2000,
      rewrite: "bank.Ledger/Balance",
    });
    expect([found?.hedge, found?.reads?.primary?.hedge?.attempts]).toEqual([undefined, 2]);
  });

  test("a recorded read is decided again as it was, and differently by a policy without a replica", () => {
    const record: DecisionRecord = {
      ...{ id: "", direction: "outbound", service: "ledger", caller: front, method: "bank.Ledger/Balance" },
      ...{ verdict: "routed", rule: "ledger/rules[0]", revision: 1, epoch: 1, timeMs: 0, inputs: noInputs },
      ...{ routing: { draw: 0.5, available: ["v1", "v2"] }, version: "v2", limits: [], closed: false, shadow: false },
    };
    expect(redecide(record, compiled(replica), "recorded")).toMatchObject({
      version: "v2",
      reason: "by ledger/rules[0], as a read that a replica may answer",
    });
    expect(redecide(record, compiled("proxied"), "recorded")).toMatchObject({ version: "v1" });
    const alone: DecisionRecord = { ...record, routing: { draw: 0.5, available: ["v1"] }, version: "v1" };
    expect(redecide(alone, compiled(replica), "recorded")).toMatchObject({ verdict: "routed", version: "v1" });
  });
});

describe("reads: direct", () => {
  const found = (route?: string) =>
    checkPolicy(parsed(policy("direct", route)).objects, { mesh: "demo" }).filter(({ field }) => field === "reads");

  test("is taken with a warning that names what of the Route does not hold for such reads", () => {
    const rule = "{ split: [{ version: v1, weight: 1 }], timeout: 2s, retry: { attempts: 2, on: [UNAVAILABLE] } }";
    expect(found(rule)).toMatchObject([
      { severity: "warning", message: expect.stringContaining("(of the Route of ledger: retry, timeout)") },
    ]);
  });

  test("is refused where a rule rewrites the method or fails when policy is old: a direct read would go on", () => {
    const rewrite = "{ match: { methods: [bank.Ledger/Get] }, rewrite: { method: bank.Ledger/Balance } }, {}";
    expect(found(rewrite)).toContainEqual(
      expect.objectContaining({
        severity: "error",
        message: expect.stringMatching(
          /^rules\[0\] of Route ledger has rewrite, .* say reads: proxied, or take rewrite out$/,
        ),
      }),
    );
  });

  test("is written as it was read, and compiled to what applications are told", () => {
    const { objects } = parsed(policy("direct"));
    const [journal] = objects.filter(({ object }) => object.kind === "Journal");
    expect(journal && renderObject(journal.object)).toMatch(/reads: direct/);
    const units = unitsOf(objects.map(({ object }) => object));
    const plan = units.map((unit) => compileUnit(unit, "demo").journal).find((one) => one !== undefined);
    expect([plan?.reads, plan?.direct?.freeMethods]).toEqual([undefined, ["bank.Ledger/Balance", "bank.Ledger/List"]]);
  });
});
