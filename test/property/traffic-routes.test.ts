/** Routes with everything that they can say: what a proxy does is what replay says it did. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { type DecisionRecord, renderDecisionId } from "../../core/decision/decision-record.js";
import { recordHeaders } from "../../core/decision/record-inputs.js";
import { isSame, redecide } from "../../core/decision/redecide.js";
import { parseSpiffeId } from "../../core/identity.js";
import { renderTarget } from "../../core/kinds/route/targets.js";
import type { Route } from "../../core/model.js";
import { type CompiledUnit, compileUnit } from "../../core/policy/compile.js";
import { renderAvailable } from "../../core/route/available.js";
import { chooseAmong, type PlacedEndpoint, stickyKey } from "../../core/route/choose-target.js";
import { unitsOf } from "../../core/snapshot/build.js";
import { encodeDecision, parseDecisionBytes } from "../../core/wire/decisions.js";
import { callerIds, mesh, methodNames } from "../support/policy-arbitrary.js";
import { runs } from "../support/runs.js";
import { trafficRoute } from "../support/traffic-arbitrary.js";

const endpoints: fc.Arbitrary<readonly PlacedEndpoint[]> = fc.array(
  fc.record({
    version: fc.constantFrom("v1", "v2", "v3"),
    labels: fc.uniqueArray(fc.record({ key: fc.constantFrom("zone", "rack"), value: fc.constantFrom("a", "b", "") }), {
      selector: ({ key }) => key,
    }),
  }),
  { maxLength: 5 },
);
const headers = fc.dictionary(fc.constantFrom("x-beta", "x-user", "0"), fc.constantFrom("1", "", "7up", "gold"));
const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const caller = fc.constantFrom(...callerIds).map(parseSpiffeId);
const method = fc.constantFrom(...methodNames, "a.A/Three");

interface RoutedCall {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly draw: number;
  readonly caller: DecisionRecord["caller"];
  readonly there: readonly PlacedEndpoint[];
}
const calls: fc.Arbitrary<RoutedCall> = fc.record({ method, headers, draw: draws, caller, there: endpoints });

function compile(route: Route): CompiledUnit {
  const units = unitsOf([{ kind: "Service", name: route.service, methods: [] }, route]);
  const unit = units.find(({ name }) => name === route.service);
  if (unit === undefined) throw new Error("no unit");
  return compileUnit(unit, mesh);
}

/** Where the call goes, by the parts that the proxy asks. */
function route(unit: CompiledUnit, { method: name, headers: sent, draw, caller: who, there }: RoutedCall) {
  const header = (one: string): string | undefined => (Object.hasOwn(sent, one) ? sent[one] : undefined);
  const rule = unit.findRoute(name, header, who);
  const key = rule && stickyKey(rule, header, who);
  const choice = chooseAmong(rule, { service: unit.name, draw, key }, there);
  return { rule, choice, header };
}

function record(unit: CompiledUnit, call: RoutedCall): DecisionRecord {
  const { rule, choice, header } = route(unit, call);
  const isRouted = choice.kind !== "none" && call.there.length > 0;
  const available = [...new Set(call.there.map((one) => renderAvailable(one, unit.routeLabels)))].sort();
  const judged: DecisionRecord = {
    ...{
      id: renderDecisionId(5, 1, 1),
      direction: "outbound",
      service: unit.name,
      caller: call.caller,
      method: call.method,
      ...(rule?.rewrite === undefined ? {} : { sentMethod: rule.rewrite }),
    },
    ...{ verdict: isRouted ? "routed" : "unrouted", rule: rule?.name ?? "", revision: 1, epoch: 1, timeMs: 5 },
    inputs: recordHeaders(unit.routeHeaders(call.method), header),
    routing: { draw: call.draw, available },
    version: isRouted && choice.kind === "target" ? renderTarget(choice.target) : "",
    ...{ limits: [], closed: false, shadow: false },
  };
  return parseDecisionBytes(encodeDecision(judged));
}

test("a recorded route comes out the same under its own revision", () => {
  fc.assert(
    fc.property(trafficRoute("payments"), calls, (policy, call) => {
      const unit = compile(policy);
      const recorded = record(unit, call);
      const again = redecide(recorded, unit, "recorded");
      expect(again.kind).toBe("decided");
      expect(again.kind === "decided" && isSame(recorded, again)).toBe(true);
    }),
    { numRuns: runs(1000) },
  );
});

test("under another revision it comes out as the call itself would, or cannot be told", () => {
  let decided = 0;
  fc.assert(
    fc.property(trafficRoute("payments"), trafficRoute("payments"), calls, (before, after, call) => {
      const again = redecide(record(compile(before), call), compile(after), "candidate");
      if (again.kind === "undecidable") return;
      decided++;
      const { rule, choice } = route(compile(after), call);
      const isRouted = choice.kind !== "none" && call.there.length > 0;
      const version = isRouted && choice.kind === "target" ? renderTarget(choice.target) : "";
      expect([again.verdict, again.rule, again.version, again.method]).toEqual([
        isRouted ? "routed" : "unrouted",
        rule?.name ?? "",
        version,
        rule?.rewrite ?? call.method,
      ]);
    }),
    { numRuns: runs(1000) },
  );
  expect(decided).toBeGreaterThan(runs(100));
});
