import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  type DecisionBatch,
  type DecisionRecord,
  noInputs,
  type RefusalCount,
  renderDecisionId,
} from "../../core/decision/decision-record.js";
import { Replay, type ReplayResult, type UnitOf } from "../../core/decision/replay.js";
import { buildSpiffeId } from "../../core/identity.js";
import { Limiter } from "../../core/limit/limiter.js";
import { type CompiledUnit, compileUnit } from "../../core/policy/compile.js";
import { unitsOf } from "../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import { runs } from "../support/runs.js";

const mesh = "shop";
const methods = ["shop.Pay/Charge", "shop.Pay/Refund", "shop.Pay/List"];
const callers = ["web", "jobs", "guest"].map((name) => buildSpiffeId(mesh, "service", name));
const startMs = 1_700_000_000_000;

interface Call {
  readonly caller: number;
  readonly method: number;
  readonly afterMs: number;
  readonly proxy: number;
}

const calls = fc.array(
  fc.record({
    caller: fc.nat(2),
    method: fc.nat(2),
    afterMs: fc.oneof(fc.constant(0), fc.nat(20), fc.nat(900)),
    proxy: fc.nat(1),
  }),
  { minLength: 1, maxLength: 120 },
);
const limit = fc.record({
  per: fc.constantFrom(undefined, ["caller"], ["method"], ["caller", "method"]),
  methods: fc.constantFrom(["*"], ["shop.Pay/Charge"], ["shop.Pay/Refund", "shop.Pay/List"]),
  rate: fc.constantFrom("1/s", "5/s", "60/m"),
  burst: fc.integer({ min: 2, max: 12 }),
  cost: fc.constantFrom(0, 1, 2),
  scope: fc.constantFrom("proxy", "mesh"),
});
const limits = fc.array(limit, { maxLength: 3 });

function pay(rules: readonly unknown[], from = ["web", "jobs", "guest"]): CompiledUnit {
  const docs: unknown[] = [
    { kind: "Service", name: "pay" },
    ...["web", "jobs", "guest"].map((name) => ({ kind: "Service", name })),
    { kind: "Authorization", name: "all", service: "pay", allow: [{ from }] },
  ];
  if (rules.length > 0) docs.push({ kind: "RateLimit", name: "pay", service: "pay", limits: rules });
  const files = docs.map((doc, at) => ({ name: `${at}.json`, content: JSON.stringify(doc) }));
  const { objects, findings } = parsePolicyFiles(files);
  if (findings.length > 0) throw new Error(JSON.stringify(findings));
  const unit = unitsOf(objects.map(({ object }) => object)).find(({ name }) => name === "pay");
  if (unit === undefined) throw new Error("no pay");
  return compileUnit(unit, mesh);
}

interface Met {
  readonly timeMs: number;
  readonly caller: (typeof callers)[number];
  readonly method: string;
  readonly proxyId: string;
  /** The limit that refuses it; undefined: none. */
  readonly limit: string | undefined;
}

/** What the proxies' own limiters say of the calls: one each, or one for limits of the mesh. */
function enforce(unit: CompiledUnit, made: readonly Call[]): Met[] {
  const limiters = new Map<string, Limiter>();
  let timeMs = startMs;
  return made.map((call) => {
    timeMs += call.afterMs;
    const proxyId = `p${call.proxy}`;
    const [caller, method] = [callers[call.caller] as (typeof callers)[number], methods[call.method] ?? ""];
    const limiter = limiters.get(proxyId) ?? new Limiter();
    limiters.set(proxyId, limiter);
    limiter.adopt(unit.rateLimits);
    const refusal = limiter.check({ caller, method, inputs: { header: () => undefined, claims: undefined } }, timeMs);
    return { timeMs, caller, method, proxyId, limit: refusal?.limit };
  });
}

function record({ timeMs, caller, method, limit }: Met, at: number): DecisionRecord {
  return {
    id: renderDecisionId(timeMs, at >> 16, at),
    direction: "inbound",
    service: "pay",
    caller,
    method,
    verdict: limit === undefined ? "allowed" : "limited",
    rule: limit ?? "all/allow[0]",
    revision: 1,
    epoch: 1,
    timeMs,
    inputs: noInputs,
    routing: undefined,
    version: "",
    limits: limit === undefined ? [] : [{ name: limit, passed: false, pushbackMs: 1 }],
    closed: false,
    shadow: false,
  };
}

function batch(proxyId: string, decisions: readonly DecisionRecord[], fields: Partial<DecisionBatch> = {}) {
  return { service: "pay", proxyId, share: 1, dropped: 0, counted: [], decisions, ...fields };
}

function replay(candidate: CompiledUnit, own: CompiledUnit, batches: readonly DecisionBatch[]): ReplayResult {
  const unitOf =
    (unit: CompiledUnit): UnitOf =>
    (service) =>
      service === "pay" ? unit : undefined;
  const going = new Replay({ candidate: unitOf(candidate), own: () => unitOf(own) }, 1000);
  for (const one of batches) going.add(one);
  return going.result();
}

/** What each record that came out otherwise was, by id. */
function flipsOf({ flips }: ReplayResult): Map<string, string> {
  return new Map(flips.flatMap(({ samples, after }) => samples.map((id) => [id, after] as const)));
}

describe("limits of a candidate", () => {
  test("say of calls that were all recorded exactly what a proxy would have said", () => {
    fc.assert(
      fc.property(limits, limits, calls, (before, after, made) => {
        const alone = (rules: typeof after) => rules.map((rule) => ({ ...rule, scope: "proxy" }));
        const [own, candidate] = [pay(alone(before)), pay(alone(after))];
        const [then, now] = [enforce(own, made), enforce(candidate, made)];
        const records = then.map(record);
        const result = replay(
          candidate,
          own,
          ["p0", "p1"].map((id) =>
            batch(
              id,
              records.filter((_, at) => then[at]?.proxyId === id),
            ),
          ),
        );
        const isSame = JSON.stringify(own.rateLimits) === JSON.stringify(candidate.rateLimits);
        const expected = new Map<string, string>();
        for (const [at, { limit }] of now.entries()) {
          const after = limit === undefined ? "allowed" : "limited";
          const one = records[at];
          if (one !== undefined && one.verdict !== after && !isSame) expected.set(one.id, after);
        }
        expect(result.undecidable).toBe(0);
        expect(flipsOf(result)).toEqual(expected);
        expect(result).toMatchObject({ mismatched: 0, reproduced: made.length });
      }),
      { numRuns: runs(300) },
    );
  });

  /** A counted refusal of the same millisecond as a recorded one, which it came before. */
  const every = { methods: ["*"] as const, rate: "1/s" as const, cost: 2 as const, scope: "proxy" as const };
  const counted = {
    before: [{ ...every, per: undefined, burst: 2 }],
    after: [{ ...every, per: ["method"] as const, burst: 4 }],
    made: [
      { caller: 0, method: 0, afterMs: 0, proxy: 0 },
      { caller: 0, method: 1, afterMs: 0, proxy: 0 },
      { caller: 0, method: 1, afterMs: 0, proxy: 0 },
      { caller: 1, method: 1, afterMs: 0, proxy: 0 },
    ],
  };

  test("of calls of which some were only counted, what is told is true", () => {
    fc.assert(
      fc.property(limits, limits, calls, fc.integer({ min: 0, max: 5 }), (before, after, made, room) => {
        const [own, candidate] = [pay(before), pay(after)];
        if (JSON.stringify(own.rateLimits) === JSON.stringify(candidate.rateLimits)) return;
        const one = made.map((call) => ({ ...call, proxy: 0 }));
        const [then, now] = [enforce(own, one), enforce(candidate, one)];
        const counts = new Map<string, { -readonly [Field in keyof RefusalCount]: RefusalCount[Field] }>();
        const admitted = new Map<string, number>();
        const truly = new Map<string, number>();
        const records: DecisionRecord[] = [];
        const expected = new Map<string, string>();
        for (const [at, met] of then.entries()) {
          const outcome = now[at]?.limit === undefined ? "allowed" : "limited";
          const key = `${met.caller} ${met.method} ${met.limit}`;
          const seen = admitted.get(key) ?? 0;
          if (met.limit !== undefined && seen >= room) {
            const known = counts.get(key);
            const { caller, method, limit: rule, timeMs } = met;
            if (outcome === "limited") truly.set(key, (truly.get(key) ?? 0) + 1);
            if (known !== undefined) [known.count, known.untilMs] = [known.count + 1, timeMs];
            else
              counts.set(key, {
                caller,
                method,
                rule,
                verdict: "limited",
                revision: 1,
                count: 1,
                fromMs: timeMs,
                untilMs: timeMs,
              });
            continue;
          }
          admitted.set(key, seen + 1);
          const made = record(met, at);
          records.push(made);
          expected.set(made.id, outcome);
        }
        const result = replay(candidate, own, [batch("p0", records, { counted: [...counts.values()] })]);
        for (const [id, after] of flipsOf(result)) expect([id, after]).toEqual([id, expected.get(id)]);
        const counted = [...counts.values()].reduce((sum, { count }) => sum + count, 0);
        expect(result.same + result.flipped + result.undecidable).toBe(records.length + counted);
        const sameRecords = records.filter(({ id, verdict }) => expected.get(id) === verdict).length;
        const trulyLimited = [...truly.values()].reduce((sum, count) => sum + count, 0);
        expect(result.same).toBeLessThanOrEqual(sameRecords + trulyLimited);
      }),
      { numRuns: runs(300), examples: [[counted.before, counted.after, counted.made, 1]] },
    );
  });
});

describe("what is not known of limits is not guessed", () => {
  const steady = (count: number, everyMs: number): Call[] =>
    Array.from({ length: count }, () => ({ caller: 0, method: 0, afterMs: everyMs, proxy: 0 }));
  const none = pay([]);
  const perCaller = (rate: string, burst: number) => pay([{ per: ["caller"], rate, burst }]);
  const told = (candidate: CompiledUnit, made: readonly Call[], fields: Partial<DecisionBatch> = {}) => {
    const { same, flipped, undecidable, unknown } = replay(candidate, none, [
      batch("p0", enforce(none, made).map(record), fields),
    ]);
    return { same, flipped, undecidable, what: unknown.map(({ what }) => what) };
  };

  test("of a share, a limit that is far above the calls it stands for lets them pass", () => {
    expect(told(perCaller("100/s", 200), steady(20, 1000), { share: 0.01 })).toMatchObject({ same: 20 });
  });
  test("of a share, a limit that may have been reached is not decidable", () => {
    const { same, flipped, undecidable, what } = told(perCaller("10/s", 20), steady(20, 1000), { share: 0.01 });
    expect({ same, flipped, undecidable }).toEqual({ same: 0, flipped: 0, undecidable: 20 });
    expect(what).toEqual(["how much was left of pay/limits[0]"]);
  });
  test("of a share, a limit that lets one in twenty of the calls it stands for pass, or fewer, refuses", () => {
    expect(told(perCaller("1/m", 1), steady(20, 1000), { share: 0.01 })).toMatchObject({ flipped: 20 });
    expect(told(perCaller("20/s", 200), steady(20, 1000), { share: 0.01 })).toMatchObject({ flipped: 0 });
  });
  test("after decisions that found no room, levels come back with time", () => {
    const made = enforce(none, steady(10, 1000)).map(record);
    const result = replay(perCaller("1/s", 3), none, [
      batch("p0", made.slice(0, 5)),
      batch("p0", made.slice(5, 8), { dropped: 3 }),
      batch("p0", made.slice(8)),
    ]);
    expect(result.unknown).toEqual([{ what: "how much was left of pay/limits[0]", count: 3 }]);
    expect(result).toMatchObject({ same: 7, flipped: 0 });
  });
  test("where nothing but refusals is recorded, nothing is told of a limit", () => {
    expect(told(perCaller("100/s", 200), steady(3, 1000), { share: 0 })).toMatchObject({ undecidable: 3 });
  });
  test("a limit by a header that was not recorded is not decidable, and names the header", () => {
    const candidate = pay([{ per: ["header:x-tenant"], rate: "100/s" }]);
    expect(told(candidate, steady(3, 1000))).toMatchObject({ undecidable: 3, what: ["header x-tenant"] });
  });
  test("a limit of the mesh counts the calls of all proxies together, in the order of their time", () => {
    const made = enforce(none, steady(8, 100)).map(record);
    const half = (odd: number) =>
      batch(
        `p${odd}`,
        made.filter((_, at) => at % 2 === odd),
      );
    const rules = (scope: string) => pay([{ rate: "1/s", burst: 4, scope }]);
    expect(replay(rules("proxy"), none, [half(0), half(1)]).flipped).toBe(0);
    const { flips } = replay(rules("mesh"), none, [half(0), half(1)]);
    expect(flips).toMatchObject([{ before: "allowed", after: "limited", rule: "pay/limits[0]", count: 4 }]);
    expect(flips[0]?.samples).toEqual(made.slice(4).map(({ id }) => id));
  });
  test("a limit that the candidate does not have any more refuses nothing, and one that it keeps what it did", () => {
    const own = perCaller("1/s", 1);
    const records = enforce(own, steady(4, 100)).map(record);
    expect(replay(none, own, [batch("p0", records)])).toMatchObject({ flipped: 3, undecidable: 0 });
    expect(replay(own, own, [batch("p0", records, { share: 0.01 })])).toMatchObject({ same: 4, undecidable: 0 });
  });
  test("a caller that is newly allowed meets what the others left of a limit that stays", () => {
    const rules = [{ rate: "1/h", burst: 3 }];
    const [own, candidate] = [pay(rules, ["web"]), pay(rules)];
    const [first, second] = enforce(own, steady(2, 100)).map(record);
    const guest = { ...second, caller: callers[2], verdict: "denied", rule: "default-deny" } as DecisionRecord;
    const records = [first, second, { ...guest, id: "1" }, { ...guest, id: "2" }] as DecisionRecord[];
    expect(flipsOf(replay(candidate, own, [batch("p0", records)]))).toEqual(
      new Map([
        ["1", "allowed"],
        ["2", "limited"],
      ]),
    );
  });
  test("refusals of a flood that were counted: as many as no moment of theirs lets pass stay refused", () => {
    const counted = {
      caller: callers[0] ?? "",
      method: methods[0] ?? "",
      rule: "pay/limits[0]",
      verdict: "limited" as const,
      revision: 1,
      count: 1000,
      fromMs: startMs,
      untilMs: startMs + 10_000,
    } as const;
    const result = replay(perCaller("20/s", 20), perCaller("10/s", 10), [batch("p0", [], { counted: [counted] })]);
    expect(result).toMatchObject({ same: 780, undecidable: 220, flipped: 0 });
  });
});
