import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type DecisionRecord, noInputs, renderDecisionId } from "../../core/decision/decision-record.js";
import { recordHeaders, recordInputs } from "../../core/decision/record-inputs.js";
import { isSame, redecide } from "../../core/decision/redecide.js";
import { Replay } from "../../core/decision/replay.js";
import { parseSpiffeId } from "../../core/identity.js";
import { feedMethod } from "../../core/journal/feed-method.js";
import { renderTarget } from "../../core/kinds/route/targets.js";
import { unitWith } from "../../core/kinds/unit.js";
import { type CompiledUnit, compileUnit } from "../../core/policy/compile.js";
import { parseAvailable } from "../../core/route/available.js";
import { chooseAmong, stickyKey } from "../../core/route/choose-target.js";
import { unitsOf } from "../../core/snapshot/build.js";
import { encodeBatch, encodeDecision, parseBatch, parseDecisionBytes } from "../../core/wire/decisions.js";
import { stampDecision } from "../../core/wire/stamp-decision.js";
import type { EvaluatedPolicy } from "../../data-plane/ports.js";
import { AlikeRecords } from "../../data-plane/proxy/alike-records.js";
import { callerIds, headerSets, inputsWith, mesh, methodNames, policy } from "../support/policy-arbitrary.js";
import { runs } from "../support/runs.js";

const versions = ["v1", "v2", "1.0", "2", "null"];
const methods = [...methodNames, feedMethod, "a.A/Three", "not a method"];
const routeHeaders = fc.dictionary(fc.constantFrom("x-beta", "x-region", "0"), fc.constantFrom("1", "", "true"));

/** What a proxy would have recorded of an inbound call. */
function recordInbound(
  unit: CompiledUnit,
  caller: string,
  method: string,
  headers: Record<string, string>,
  at: number,
) {
  const id = parseSpiffeId(caller);
  const inputs = inputsWith(headers);
  const { allow, rule } = unit.evaluateCall(id, method, inputs);
  const record: DecisionRecord = {
    id: renderDecisionId(inputs.nowMs, at, at),
    direction: "inbound",
    service: unit.name,
    caller: id,
    method,
    verdict: allow ? "allowed" : "denied",
    rule,
    revision: 1,
    epoch: 1,
    timeMs: inputs.nowMs,
    inputs: recordInputs(unit.readsOf(id, method), inputs),
    routing: undefined,
    version: "",
    limits: [],
    closed: false,
    shadow: false,
  };
  return record;
}

function recordOutbound(
  unit: CompiledUnit,
  method: string,
  headers: Record<string, string>,
  draw: number,
  available: readonly string[],
): DecisionRecord {
  const header = (name: string): string | undefined => (Object.hasOwn(headers, name) ? headers[name] : undefined);
  const caller = parseSpiffeId(callerIds[0] ?? "");
  const rule = unit.findRoute(method, header, caller);
  const key = rule && stickyKey(rule, header, caller);
  const choice = chooseAmong(rule, { service: unit.name, draw, key }, available.map(parseAvailable));
  const isRouted = choice.kind !== "none" && available.length > 0;
  return {
    ...recordInbound(unit, callerIds[0] ?? "", method, {}, 1),
    direction: "outbound",
    verdict: isRouted ? "routed" : "unrouted",
    rule: rule?.name ?? "",
    inputs: recordHeaders(unit.routeHeaders(method), header),
    routing: { draw, available: [...available].sort() },
    version: isRouted && choice.kind === "target" ? renderTarget(choice.target) : "",
  };
}

/** Encodes what records have in common once, then stamps it with what differs. */
function stamped(record: DecisionRecord): DecisionRecord {
  const { id, timeMs, inputs, routing, traceId } = record;
  const stamp = { id, timeMs, draw: routing?.draw ?? 0, headers: inputs.headers, traceId };
  return parseDecisionBytes(new AlikeRecords().encode("", {} as EvaluatedPolicy, () => record, stamp));
}

const throughTheWire = (record: DecisionRecord): DecisionRecord => parseDecisionBytes(encodeDecision(record));
const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("a recorded decision", () => {
  test("comes out the same under its own revision: access, for any policy and call", () => {
    fc.assert(
      fc.property(policy, headerSets, (objects, headers) => {
        const wrong: DecisionRecord[] = [];
        for (const unit of unitsOf(objects).map((each) => compileUnit(each, mesh))) {
          for (const caller of callerIds) {
            for (const [at, method] of methods.entries()) {
              const record = throughTheWire(recordInbound(unit, caller, method, headers, at));
              const again = redecide(record, unit, "recorded");
              if (again.kind === "undecidable" || !isSame(record, again)) wrong.push(record);
            }
          }
        }
        expect(wrong).toEqual([]);
      }),
      { numRuns: runs(100) },
    );
  });

  test("comes out the same under its own revision: routes, for any policy, draw and endpoints", () => {
    fc.assert(
      fc.property(policy, routeHeaders, draws, fc.subarray(versions), (objects, headers, draw, available) => {
        for (const unit of unitsOf(objects).map((each) => compileUnit(each, mesh))) {
          for (const method of methods) {
            const record = throughTheWire(recordOutbound(unit, method, headers, draw, available));
            const again = redecide(record, unit, "recorded");
            if (again.kind === "undecidable" || !isSame(record, again)) throw new Error(JSON.stringify(record));
          }
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test("is the same bytes apart from their order, whether it is encoded as a whole or stamped", () => {
    fc.assert(
      fc.property(
        policy,
        routeHeaders,
        draws,
        fc.constantFrom("", "ab".repeat(16)),
        (objects, headers, draw, traceId) => {
          for (const unit of unitsOf(objects).map((each) => compileUnit(each, mesh))) {
            for (const method of methods) {
              const own = recordOutbound(unit, method, headers, draw, versions);
              const record = { ...own, attempts: 2, ...(traceId === "" ? {} : { traceId }) };
              expect(stamped(record)).toEqual(throughTheWire(record));
            }
          }
        },
      ),
      { numRuns: runs(50) },
    );
  });

  test("keeps headers of every kind when it is stamped", () => {
    const unit = compileUnit(unitWith("a"), mesh);
    const names = ["x-short", "x-other", "x-long", "authorization", "x-absent", "x-empty"];
    const values = new Map([
      ["x-short", "ä€ and \u{1f600}"],
      ["x-other", "o".repeat(500)],
      ["x-long", "l".repeat(2000)],
      ["authorization", "Bearer secret"],
      ["x-empty", ""],
    ]);
    const inputs = recordHeaders(names, (name) => values.get(name));
    expect(new Set(inputs.headers.map(({ content }) => content.state)).size).toBe(4);
    const record = { ...recordInbound(unit, callerIds[0] ?? "", "a.A/One", {}, 5), inputs };
    expect(stamped(record)).toEqual(record);
  });

  test("under any other policy comes out as the call itself would, or cannot be told: it is never guessed", () => {
    fc.assert(
      fc.property(policy, policy, headerSets, (before, after, headers) => {
        const candidates = new Map(unitsOf(after).map((each) => [each.name, compileUnit(each, mesh)]));
        for (const unit of unitsOf(before).map((each) => compileUnit(each, mesh))) {
          const candidate = candidates.get(unit.name);
          if (candidate === undefined) continue;
          for (const caller of callerIds) {
            for (const method of methods) {
              const again = redecide(recordInbound(unit, caller, method, headers, 0), candidate, "candidate");
              const live = candidate.evaluateCall(parseSpiffeId(caller), method, inputsWith(headers));
              const isRight =
                again.kind === "decided"
                  ? again.verdict === (live.allow ? "allowed" : "denied") && again.rule === live.rule
                  : candidate.readsOf(parseSpiffeId(caller), method).size > 0;
              if (!isRight) throw new Error(`${caller} ${method} ${JSON.stringify(headers)}`);
            }
          }
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test("a replay under the revision itself reproduces all of them and flips none", () => {
    fc.assert(
      fc.property(policy, headerSets, (objects, headers) => {
        const units = new Map(unitsOf(objects).map((each) => [each.name, compileUnit(each, mesh)]));
        const unitOf = (service: string) => units.get(service);
        const replay = new Replay({ candidate: unitOf, own: () => unitOf });
        for (const [service, unit] of units) {
          if (service === "@mesh") continue; // it has no calls, and no proxy
          const records = callerIds.flatMap((caller) =>
            methods.map((method) => encodeDecision(recordInbound(unit, caller, method, headers, 0))),
          );
          const writer = { service, proxyId: "p1" };
          replay.add(parseBatch(encodeBatch({ ...writer, share: 0.5, dropped: 0, counted: [] }, records), writer));
        }
        const { decisions, flipped, reproduced, mismatched, unchecked, undecidable } = replay.result();
        expect({ flipped, mismatched, unchecked, undecidable }).toEqual({
          flipped: 0,
          mismatched: 0,
          unchecked: 0,
          undecidable: 0,
        });
        expect(reproduced).toBe(decisions);
      }),
      { numRuns: runs(20) },
    );
  });
});

test("a record without inputs is the same after the wire", () => {
  const unit = compileUnit(unitWith("a"), mesh);
  const record = recordInbound(unit, callerIds[0] ?? "", "a.A/One", {}, 5);
  expect(throughTheWire(record)).toEqual(record);
  expect(record.inputs).toBe(noInputs);
  for (const timeMs of [0, 127, 128, 1_795_324_365_849, 253_402_300_800_000]) {
    const rest = encodeDecision({ ...record, id: "", timeMs: 0 });
    const stamped = parseDecisionBytes(stampDecision(rest, { id: record.id, timeMs }));
    expect(stamped).toEqual({ ...record, timeMs });
  }
});
