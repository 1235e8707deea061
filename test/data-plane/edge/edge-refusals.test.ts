/** What a listener refuses is recorded, bounded, and comes out the same when it is decided again. */
import { expect, test } from "@jest/globals";
import type { DecisionRecord, RefusalCount } from "../../../core/decision/decision-record.js";
import { explainDecision } from "../../../core/decision/explain.js";
import { isSame, redecide, redecideCounted } from "../../../core/decision/redecide.js";
import { Replay } from "../../../core/decision/replay.js";
import { gatewayWorkload, parseSpiffeId, workloadId } from "../../../core/identity.js";
import type { EdgeProtocol, Gateway } from "../../../core/kinds/gateway/gateway.js";
import { unitWith } from "../../../core/kinds/unit.js";
import { compileUnit } from "../../../core/policy/compile.js";
import { compileGateway } from "../../../core/policy/compiled-gateway.js";
import { encodeBatch, parseBatch, parseDecisionBytes } from "../../../core/wire/decisions.js";
import { EdgeJudge } from "../../../data-plane/edge/edge-judge.js";
import { EdgeLimiter } from "../../../data-plane/edge/edge-limits.js";
import { EdgeRecorder } from "../../../data-plane/edge/edge-recorder.js";
import type { EvaluatedPolicy } from "../../../data-plane/ports.js";
import type { Call } from "../../../data-plane/proxy/forward/call.js";
import { createLogger } from "../../../runtime/log.js";
import { ManualClock } from "../../support/manual-clock.js";
import { nowMs, TestTokenIssuer } from "../../support/token-issuer.js";

const service = gatewayWorkload("public");
const caller = workloadId("shop", service);
const accounts = new TestTokenIssuer();
const partners = new TestTokenIssuer("partners");
const policy = {
  ...{ revision: 3, epoch: 4 },
  issuers: [accounts, partners].map((issuer) => ({ ...issuer.policy(), forwardClaims: undefined })),
} as unknown as EvaluatedPolicy;

type Listener = Gateway["listeners"][number];
const listenerOf = (fields: Partial<Listener>): Listener => ({
  ...{ name: "web", protocols: ["grpc"], callers: { anyone: true } },
  ...{ expose: [{ service: "checkout", methods: ["s.Checkout/*"] }], cors: undefined, limits: undefined },
  ...fields,
});
const gatewayOf = (listener: Listener): Gateway => ({ kind: "Gateway", name: "public", listeners: [listener] });
const rate = { tokens: 1, periodMs: 60_000 };

const listeners: readonly Listener[] = [
  listenerOf({}),
  listenerOf({ name: "other" }),
  listenerOf({ expose: [{ service: "checkout", methods: ["s.Checkout/Place"] }] }),
  listenerOf({ protocols: ["connect", "grpc-web"] }),
  listenerOf({ callers: { certificate: true } }),
  listenerOf({ callers: { token: ["accounts"] } }),
  listenerOf({ callers: { token: ["accounts", "partners"], certificate: true } }),
  listenerOf({ limits: { callsPerAddress: rate } }),
  listenerOf({ callers: { token: ["partners"] }, limits: { callsPerToken: rate } }),
];

/** What clients try: each call is made twice, so that limits are met. */
const tries = ["s.Checkout/Place", "s.Checkout/Cancel", "s.Stock/List"].flatMap((method) =>
  ([undefined, "spiffe://partner/till"] as const).flatMap((client) =>
    [undefined, "Bearer bad", `Bearer ${accounts.token()}`, `Bearer ${partners.token()}`].flatMap((authorization) =>
      (["grpc", "connect"] as const).map((protocol: EdgeProtocol) => ({ method, client, authorization, protocol })),
    ),
  ),
);

function open(listener: Listener, clock = new ManualClock(nowMs)) {
  const records: DecisionRecord[] = [];
  const counts: RefusalCount[] = [];
  const decisions = {
    offer: (bytes: Uint8Array) => records.push(parseDecisionBytes(bytes)) > 0,
    offerCounts: (more: readonly RefusalCount[]) => void counts.push(...more),
  };
  let draws = 0;
  const log = createLogger({ level: "silent", name: "test", format: "json" });
  const recorder = new EdgeRecorder({ decisions, recorder: { draw: () => draws++ }, clock, log }, service, "web");
  const limiter = new EdgeLimiter();
  limiter.follow(listener.limits);
  const judge = new EdgeJudge(limiter, recorder, { issuers: [accounts.trusted, partners.trusted] });
  judge.listener = compileGateway(gatewayOf(listener)).get("web");
  const call = (one: Partial<(typeof tries)[number]>, address = "192.0.2.1") => {
    const { method = "s.Checkout/Place", client, authorization, protocol = "grpc" } = one;
    const header = (name: string) => ({ authorization, "ashlar-client": client })[name];
    const inputs = { header, nowMs, sourceAddress: address };
    const made = { caller, method, inputs, startedMs: clock.monotonicMs(), judged() {}, service: "" };
    const found = judge.listener?.find(method) ?? "";
    return judge.judge(made as unknown as Call, found, authorization, address, protocol, policy);
  };
  return { records, counts, recorder, call, clock, limiter, judge };
}

test("what is refused comes out the same by its own gateway; by another one as that would judge, or it cannot be told", () => {
  let [refused, undecidable, flipped] = [0, 0, 0];
  const compiled = new Map(
    listeners.map((one) => [one, compileUnit(unitWith(service, { gateway: gatewayOf(one) }), "shop")]),
  );
  for (const before of listeners)
    for (const one of tries) {
      const edge = open(before);
      edge.call(one);
      edge.call(one);
      for (const record of edge.records) {
        refused += 1;
        const again = redecide(record, compiled.get(before), "recorded");
        if (again.kind === "undecidable" || !isSame(record, again)) throw new Error(JSON.stringify([record, again]));
        for (const after of listeners.filter(({ limits }) => limits === undefined)) {
          const then = redecide(record, compiled.get(after), "candidate");
          if (then.kind === "undecidable") undecidable += 1;
          else {
            const live = open(after);
            live.call(one);
            const verdict = live.records[0]?.verdict ?? "allowed";
            expect([then.verdict, then.rule, before, after, one]).toEqual([
              ...[verdict, live.records[0]?.rule ?? "web/expose", before, after, one],
            ]);
            if (verdict !== record.verdict) flipped += 1;
          }
        }
        expect(redecide(record, undefined, "candidate")).toMatchObject({
          verdict: expect.not.stringMatching("allowed"),
        });
      }
    }
  expect(refused).toBeGreaterThan(200);
  expect([undecidable > 0, flipped > 100, undecidable < refused * 2]).toEqual([true, true, true]);
});

test("a flood of one network leaves room for others, a crowd for none of it, and nothing gets lost", () => {
  const edge = open(listenerOf({}));
  for (let index = 0; index < 5000; index++)
    edge.call({ method: `s.Made/Up${index}` }, `2001:db8::${index.toString(16)}`);
  expect(edge.records.length).toBe(20);
  edge.call({ method: "s.Stock/List" }, "192.0.2.9");
  expect(edge.records.at(-1)).toMatchObject({ method: "s.Stock/List", inputs: { source: { address: "192.0.2.9" } } });
  for (let index = 0; index < 5000; index++)
    edge.call({ method: "s.Stock/List" }, `198.51.${index >> 8}.${index & 255}`);
  edge.call({ method: `s.${"x".repeat(5000)}/Long` }, "203.0.113.1");
  expect(edge.records.length).toBe(100);
  edge.recorder.close();
  expect(edge.counts.reduce((sum, { count }) => sum + count, edge.records.length)).toBe(10_002);
  expect(edge.counts.length).toBeLessThanOrEqual(65);
  const batch = { service, proxyId: "p1", share: 0.01, dropped: 0, counted: edge.counts };
  expect(parseBatch(encodeBatch(batch, []), { service, proxyId: "p1" }).counted).toEqual(edge.counts);
});

test("only a gateway has such decisions, and only its own", () => {
  const edge = open(listenerOf({}));
  edge.call({ method: "s.Stock/List" });
  const [record] = edge.records;
  if (record === undefined) throw new Error("nothing was recorded");
  const replay = new Replay({ candidate: () => undefined, own: () => undefined });
  replay.add({ service, proxyId: "p1", share: 1, dropped: 0, counted: [], decisions: [record] });
  expect(replay.result()).toMatchObject({ decisions: 1, same: 1, refusedShare: undefined });
  expect(explainDecision(record, undefined, "shop").nearest?.change).toBe(
    "add s.Stock/List to what listener web of gateway/public exposes",
  );
  expect(record.caller).toBe(parseSpiffeId("spiffe://shop/gateway/public"));
});

test("refusals that were only counted stand as long as what refused them does", () => {
  const unit = (listener: Listener) => compileUnit(unitWith(service, { gateway: gatewayOf(listener) }), "shop");
  const counted = { caller, count: 9, revision: 3, fromMs: 1, untilMs: 2 };
  const again = (more: Pick<RefusalCount, "method" | "rule" | "verdict">, listener: Listener) =>
    redecideCounted({ ...counted, ...more }, unit(listener), parseSpiffeId).kind;
  const hidden = { method: "s.Stock/List", rule: "web/expose", verdict: "denied" } as const;
  const shown = listenerOf({ expose: [{ service: "stock", methods: ["s.Stock/List"] }] });
  expect([again(hidden, listenerOf({})), again(hidden, shown)]).toEqual(["decided", "undecidable"]);
  const limited = { method: "s.Checkout/Place", rule: "web/limits.callsPerAddress", verdict: "limited" } as const;
  expect([again(limited, listenerOf({ limits: { callsPerAddress: rate } })), again(limited, listenerOf({}))]).toEqual([
    ...["decided", "undecidable"],
  ]);
});

test("who owes bytes is refused with the limit's name, and so is the call that is open", () => {
  const token = `Bearer ${accounts.token()}`;
  const kib = { tokens: 1, periodMs: 60_000 };
  for (const [limits, authorization] of [
    [{ kibPerAddress: kib }, undefined],
    [{ kibPerToken: kib }, token],
  ] as const) {
    const [name = ""] = Object.keys(limits);
    const callers = authorization === undefined ? { anyone: true } : { token: ["accounts"] };
    const listener = listenerOf({ limits, callers });
    const edge = open(listener);
    const header = (header: string) => ({ authorization })[header];
    const inputs = { header, nowMs, sourceAddress: "192.0.2.1" };
    const made = { caller, method: "s.Checkout/Place", inputs, judged() {} } as unknown as Call;
    const take = edge.judge.meterOf(made, "192.0.2.1");
    expect([edge.call({ authorization }), take?.(2048, edge.clock.monotonicMs())]).toEqual([undefined, undefined]);
    const pushbackMs = 60_000;
    const over = { code: 8, message: "too many bytes of this client", reason: "rate-limit" };
    expect(edge.call({ authorization })).toMatchObject({ ...over, pushbackMs });
    expect(take?.(1, edge.clock.monotonicMs())).toBe(name);
    const limit = name as "kibPerAddress";
    const ended = edge.judge.endOverBytes(made, "192.0.2.1", limit, "grpc", policy, edge.clock.monotonicMs());
    expect(ended).toMatchObject({ ...over, pushbackMs: expect.closeTo(60_059, -1) });
    const rule = `web/limits.${name}`;
    expect(edge.records).toMatchObject([
      { rule, verdict: "limited", closed: false },
      { rule, verdict: "limited", closed: true },
    ]);
    const own = compileUnit(unitWith(service, { gateway: gatewayOf(listener) }), "shop");
    for (const record of edge.records) expect(isSame(record, redecide(record, own, "recorded") as never)).toBe(true);
  }
});
