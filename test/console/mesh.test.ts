import { describe, expect, test } from "@jest/globals";
import { serviceInfo } from "../../console/api/messages.js";
import { decisionBatch } from "../../console/api/record-messages.js";
import { tapBatch, trafficPair } from "../../console/api/traffic-messages.js";
import { layOut } from "../../console/pages/mesh/layout.js";
import { packColumns, packedAbove } from "../../console/pages/mesh/pack.js";
import { pathOf } from "../../console/pages/mesh/paths.js";
import { coversMethod, parsePolicy, rulesBetween } from "../../console/pages/mesh/policy.js";
import { addRefusals, explainRefusal, isCaller, noRefusals } from "../../console/pages/mesh/refusal-list.js";
import { addCalls, noCalls } from "../../console/pages/mesh/tapped-calls.js";
import { buildTopology, figuresOf, keepEdges, type MeshEdge, stateOfEdge } from "../../console/pages/mesh/topology.js";
import { centreOn, fitView, scaleMax, scaleMin, viewByKey, zoomAt } from "../../console/pages/mesh/viewport.js";
import { policyJson } from "../support/console/fixture-policy.js";

const policy = parsePolicy(policyJson(5));
const pair = (caller: string, service: string, json: object) => trafficPair({ caller, service, method: "m", ...json });

describe("policy for the picture", () => {
  test("has services, gateways, egress, rules and the split of all other calls", () => {
    expect(policy.services.map(({ name, kind }) => `${kind} ${name}`)).toContain("egress card-provider");
    expect(policy.gateways.map(({ name }) => name)).toEqual(["storefront"]);
    expect(policy.splits).toEqual([
      {
        service: "payments",
        targets: [
          { version: "v1", share: 0.9 },
          { version: "v2", share: 0.1 },
        ],
      },
    ]);
    expect(rulesBetween(policy, "checkout", "payments").map(({ rule, when }) => [rule, when])).toEqual([
      ["payments-callers/allow[0]", ""],
      ["payments-callers/allow[1]", 'claims.team == "money"'],
    ]);
    expect(rulesBetween(policy, "ledger", "payments")).toEqual([]);
  });

  test("what is no policy is none", () => {
    expect(parsePolicy('"just a text"').services).toEqual([]);
    const route = { kind: "Route", name: "r", service: "s", rules: "nonsense" };
    expect(parsePolicy(JSON.stringify([route, 7, null])).splits).toEqual([]);
    expect(parsePolicy("").allows).toEqual([]);
  });

  test("patterns of methods", () => {
    const covers = (pattern: string) => coversMethod(pattern, "shop.Cart/Add");
    expect(["*", "shop.Cart/*", "shop.Cart/Add", "shop.Ca/*", "shop.Cart/Ad"].map(covers)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});

describe("the topology", () => {
  const services = [
    serviceInfo({
      name: "payments",
      endpoints: [
        { version: "v1", healthy: true },
        { version: "v2", healthy: false },
      ],
    }),
  ];
  const pairs = [
    pair("checkout", "payments", { version: "v1", calls: 90, failed: 2, p50Ms: 2, p99Ms: 9 }),
    pair("checkout", "payments", { version: "v2", calls: 10, p50Ms: 8, p99Ms: 30 }),
    pair("shopfront", "payments", { calls: 5, refused: 5 }),
    pair("spiffe://else/service/x", "payments", { calls: 2 }),
    pair("", "payments", { calls: 9 }),
  ];
  const { nodes, edges } = buildTopology(policy, services, { windowMs: 10_000, pairs });
  const edge = (from: string, to: string) => edges.find((one) => one.from === from && one.to === to);

  test("has what policy allows and what was called, refused calls too", () => {
    expect(stateOfEdge(edge("checkout", "inventory") ?? edges[0] ?? never())).toBe("idle");
    expect(stateOfEdge(edge("checkout", "payments") ?? never())).toBe("failing");
    expect(stateOfEdge(edge("shopfront", "payments") ?? never())).toBe("refused");
    expect(edge("shopfront", "payments")?.allowed).toBe(false);
    expect(nodes.find(({ id }) => id === "spiffe://else/service/x")?.kind).toBe("outside");
    expect(nodes.some(({ id }) => id === "")).toBe(false);
  });

  test("a service has its versions with share, instances and calls", () => {
    const payments = nodes.find(({ id }) => id === "payments");
    expect(payments?.versions).toEqual([
      { name: "v1", instances: 1, share: 0.9, rate: 9 },
      { name: "v2", instances: 1, share: 0.1, rate: 1 },
    ]);
    expect([payments?.unhealthy, payments?.instances, payments?.outRate]).toEqual([1, 2, 0]);
    // It has no instance, and its application calls all the same.
    expect(nodes.find(({ id }) => id === "checkout")).toMatchObject({ instances: 0, rate: 0, outRate: 10 });
  });

  test("figures: the middle of all calls, the slowest p99, success without refused and failed", () => {
    expect(figuresOf(pairs.slice(0, 3), 10_000)).toEqual({
      rate: 10.5,
      refusedRate: 0.5,
      failedRate: 0.2,
      success: 98 / 105,
      p50Ms: 2,
      p99Ms: 30,
    });
    expect(figuresOf([], 0)).toEqual({ rate: 0, refusedRate: 0, failedRate: 0, success: 1, p50Ms: 0, p99Ms: 0 });
  });
});

describe("edges that were seen", () => {
  const service = (name: string) => ({ kind: "Service", name, methods: ["m"] });
  const allow = (rule: object) => ({ kind: "Authorization", name: "to-b", service: "b", allow: [rule] });
  const seen = (allowed: object | undefined, kept: Map<string, MeshEdge>, calls = 0, named = ["a", "b"]) => {
    const now = parsePolicy(JSON.stringify([...named.map(service), allowed]));
    const built = buildTopology(now, [], { windowMs: 1000, pairs: calls > 0 ? [pair("a", "b", { calls })] : [] });
    return keepEdges(built, kept, now).edges.map((edge) => [edge.id, stateOfEdge(edge)]);
  };

  test("stay at rest, and are not called allowed once no rule allows them", () => {
    const kept = new Map<string, MeshEdge>();
    expect(seen(allow({ from: ["a"] }), kept, 7)).toEqual([["a → b", "busy"]]);
    expect(seen(allow({ from: ["a"] }), kept)).toEqual([["a → b", "idle"]]);
    expect(seen(undefined, kept)).toEqual([["a → b", "barred"]]);
    expect(seen(allow({ methods: ["m"] }), kept)).toEqual([["a → b", "idle"]]);
  });

  test("go with the boxes at their ends", () => {
    const kept = new Map<string, MeshEdge>();
    seen(allow({ from: ["a"] }), kept, 7);
    expect([seen(undefined, kept, 0, ["b"]), kept.size]).toEqual([[], 0]);
  });
});

function never(): never {
  throw new Error("there is such an edge");
}

describe("the layout", () => {
  const boxes = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ id: `s${index}`, width: 148, height: 40 }));
  const links = (count: number) =>
    Array.from({ length: count - 1 }, (_, index) => {
      const [from, to] = [`s${Math.floor(index / 3)}`, `s${index + 1}`];
      return { id: `${from} → ${to}`, from, to };
    });

  test.each([5, packedAbove + 140])("puts %d boxes where none covers another", (count) => {
    const { places, width, height } = (count > packedAbove ? packColumns : layOut)(boxes(count), links(count));
    const all = Object.values(places);
    expect(all).toHaveLength(count);
    const covering = all.filter((a, i) =>
      all.some((b, j) => j < i && Math.abs(a.x - b.x) < 148 && Math.abs(a.y - b.y) < 40),
    );
    expect(covering).toEqual([]);
    expect(all.every(({ x, y }) => x > 0 && y > 0 && x < width && y < height)).toBe(true);
  });

  test("on a narrow screen callers stand above those that they call", () => {
    const { places, width, height } = layOut(boxes(5), links(5), true);
    expect(height).toBeGreaterThan(width / 2);
    for (const { from, to } of links(5)) expect(places[from]?.y).toBeLessThan(places[to]?.y ?? 0);
    const wide = layOut(boxes(5), links(5)).places;
    for (const { from, to } of links(5)) expect(wide[from]?.x).toBeLessThan(wide[to]?.x ?? 0);
  });

  test("many boxes make a picture that is wider than high, but not a ribbon", () => {
    const { width, height } = packColumns(boxes(200), links(200));
    expect(width / height).toBeGreaterThan(1);
    expect(width / height).toBeLessThan(4);
  });

  test("lines to itself or to nobody are no matter", () => {
    const found = layOut(boxes(2), [
      { id: "a", from: "s0", to: "s0" },
      { id: "b", from: "s0", to: "gone" },
    ]);
    expect(found.ways).toEqual({});
  });

  test("a path without a way of its own runs from right to left side", () => {
    expect(pathOf(undefined, { x: 0, y: 0 }, { x: 300, y: 50 }, [100, 100])).toBe("M50 0C150 0 150 50 250 50");
    expect(
      pathOf(
        [
          { x: 0, y: 0 },
          { x: 9, y: 9 },
        ],
        { x: 0, y: 0 },
        { x: 9, y: 9 },
        [1, 1],
      ),
    ).toBe("M0 0L9 9");
  });
});

describe("the view", () => {
  const screen = { width: 800, height: 400 };

  test("zooms around a point, within bounds", () => {
    const view = zoomAt({ scale: 1, x: 10, y: 20 }, 100, 100, 2);
    expect((100 - view.x) / view.scale).toBe(90);
    expect((100 - view.y) / view.scale).toBe(80);
    expect(zoomAt(view, 0, 0, 1e9).scale).toBe(scaleMax);
    expect(zoomAt(view, 0, 0, 1e-9).scale).toBe(scaleMin);
  });

  test("shows all of a picture in the middle", () => {
    expect(fitView({ width: 1600, height: 400 }, screen)).toEqual({ scale: 0.5, x: 0, y: 100 });
    expect(fitView({ width: 0, height: 0 }, screen)).toEqual({ scale: 1, x: 0, y: 0 });
  });

  test("brings a point into the middle, large enough to read", () => {
    expect(centreOn({ scale: 0.1, x: 0, y: 0 }, { x: 100, y: 50 }, screen)).toEqual({ scale: 0.8, x: 320, y: 160 });
  });

  test("keys move and zoom it, others do nothing", () => {
    const view = { scale: 1, x: 0, y: 0 };
    expect(viewByKey(view, "ArrowRight", screen, screen)).toEqual({ scale: 1, x: -60, y: 0 });
    expect(viewByKey(view, "+", screen, screen)?.scale).toBe(1.25);
    expect(viewByKey(view, "x", screen, screen)).toBeUndefined();
  });
});

test("of tapped calls the newest are shown, and what was too much is counted", () => {
  const batch = (from: number, dropped: number) =>
    tapBatch({ calls: Array.from({ length: 20 }, (_, index) => ({ timeMs: from + index })), dropped });
  const { calls, seen, dropped } = [batch(100, 0), batch(0, 3), batch(200, 4)].reduce(addCalls, noCalls);
  expect([calls.length, calls[0]?.timeMs, calls.at(-1)?.timeMs, seen, dropped]).toEqual([30, 219, 110, 60, 7]);
  expect(new Set(calls.map(({ key }) => key)).size).toBe(30);
});

describe("refusals", () => {
  const decision = (caller: string, json: object = {}) => ({
    caller: `spiffe://shop/service/${caller}`,
    verdict: "VERDICT_DENIED",
    rule: "default-deny",
    ...json,
  });

  test("are those of the caller, newest first, with a bound", () => {
    const decisions = Array.from({ length: 20 }, (_, index) => decision("a", { timeMs: index }));
    const batch = decisionBatch({
      decisions: [
        ...decisions,
        decision("b"),
        decision("a", { verdict: "VERDICT_ALLOWED" }),
        decision("a", { shadow: true }),
      ],
      counted: [
        { caller: "spiffe://shop/service/a", count: 7 },
        { caller: "spiffe://shop/service/b", count: 9 },
      ],
    });
    const { shown, counts, more } = addRefusals(noRefusals, batch, "a", "shop");
    expect([shown.length, shown[0]?.timeMs, counts.length, more]).toEqual([12, 19, 1, 8]);
  });

  test("callers are services, gateways, or identities in full", () => {
    expect(isCaller("spiffe://shop/service/a", "a", "shop")).toBe(true);
    expect(isCaller("spiffe://shop/gateway/web", "gateway/web", "shop")).toBe(true);
    expect(isCaller("spiffe://else/service/a", "spiffe://else/service/a", "shop")).toBe(true);
    expect(isCaller("spiffe://else/service/a", "a", "shop")).toBe(false);
  });

  test("are explained in a sentence", () => {
    const [one] = decisionBatch({ decisions: [decision("a", { revision: 7 })] }).decisions;
    if (one === undefined) throw new Error("there is one");
    expect(explainRefusal(one)).toBe("No rule of revision 7 allows it, so it was denied by default.");
    expect(explainRefusal({ ...one, verdict: "VERDICT_LIMITED", rule: "r/limits[0]" })).toBe(
      "It was over the limit r/limits[0], by revision 7.",
    );
    expect(
      explainRefusal({ ...one, verdict: "VERDICT_UNAUTHENTICATED", rule: "accounts", tokenProblem: "" }),
    ).toContain("there was none that is valid");
  });

  test.each([
    ["web/expose", "VERDICT_DENIED", "", "does not expose the method"],
    ["web/protocols", "VERDICT_DENIED", "", "does not speak"],
    ["web/callers.certificate", "VERDICT_UNAUTHENTICATED", "", "a client certificate, and none was shown"],
    ["web/callers.token", "VERDICT_UNAUTHENTICATED", "it has expired", "a token: it has expired"],
    ["web/limits.callsPerAddress", "VERDICT_LIMITED", "", "over the limit web/limits.callsPerAddress"],
  ])("at a gateway are explained by the part of its listener: %s", (rule, verdict, tokenProblem, told) => {
    const json = { direction: "DIRECTION_EDGE", revision: 7, rule, verdict, tokenProblem };
    const [one] = decisionBatch({ decisions: [decision("a", json)] }).decisions;
    const sentence = one && explainRefusal(one);
    expect(sentence).toContain(told);
    expect(sentence?.includes("token")).toBe(rule === "web/callers.token");
    expect(sentence).toContain("by revision 7");
  });
});
