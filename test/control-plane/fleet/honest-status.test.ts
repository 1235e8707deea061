/**
 * What calls get, and what `status`, `services`, `proxies` and `/readyz` say of it: one row for each state in the table of
 * docs/observing.md, which lists the same problems.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { renderProxy } from "../../../control-plane/admin/admin-messages.js";
import { routedTargets } from "../../../control-plane/fleet/empty-routes.js";
import { ExpectedProxies } from "../../../control-plane/fleet/expected-proxies.js";
import { FleetState } from "../../../control-plane/fleet/fleet-state.js";
import { followProblems } from "../../../control-plane/fleet/follow-fleet.js";
import { type MeshStatusDeps, meshStatus } from "../../../control-plane/fleet/mesh-status.js";
import type { Problem } from "../../../control-plane/fleet/problems.js";
import { RegistryState } from "../../../control-plane/registry/registry-state.js";
import { unitWith } from "../../../core/kinds/unit.js";
import type { Endpoint, Heartbeat, Revocation, Route } from "../../../core/model.js";
import { type ReadinessFacts, reasonsNotReady } from "../../../data-plane/status/readiness.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";

const nowMs = 1_700_000_000_000;
const v1 = { version: "v1", weight: 1 };
const v2 = { version: "v2", weight: 1 };
const digest = "ab".repeat(32);
const head = { epoch: 4, revisionNumber: 7, revisionDigest: digest };

const routeTo = (...split: Route["rules"][number]["split"]): Route => ({
  kind: "Route",
  name: "payments-route",
  service: "payments",
  rules: [{ match: undefined, split, timeoutMs: 0 }],
});

/** A mesh of two instances of payments, a and b, that x and y of shop call, in which everything is well. */
class World {
  readonly state = new FleetState();
  readonly registry = new RegistryState();
  readonly expected = new ExpectedProxies();
  readonly problems: Problem[] = [];
  readonly notReady: Partial<ReadinessFacts>;
  readonly #heartbeats = new Map<string, Partial<Heartbeat>>();
  route = routeTo(v1);

  constructor(change: (world: World) => Partial<ReadinessFacts> | undefined) {
    for (const id of ["a", "b"]) this.place(id);
    for (const id of ["x", "y"]) this.proxy(id, { service: "shop", serving: false });
    for (const id of ["a", "b"]) this.proxy(id, {});
    this.notReady = change(this) ?? {};
  }

  proxy(id: string, parts: Partial<Heartbeat>, revoked?: Revocation, heardMs = nowMs): void {
    const all = { ...this.#heartbeats.get(id), ...parts };
    this.#heartbeats.set(id, all);
    const evaluates = { seenEpoch: 4, evaluatingEpoch: 4, evaluatingRevision: 7, evaluatingDigest: digest as never };
    const prepared = [{ number: 7, digest: digest as never }];
    const beats = buildHeartbeat(id, { timeMs: nowMs, ...evaluates, prepared, ...all });
    this.state.hear(beats, heardMs, nowMs, { serial: `serial of ${id}`, revoked });
  }

  place(id: string, parts: Partial<Endpoint> = {}): void {
    const endpoint = {
      proxyId: id,
      service: "payments",
      instance: `i-${id}`,
      version: "v1",
      address: `10.0.0.1:${id}`,
    };
    const stated = { ...endpoint, labels: [], gone: false, timeMs: nowMs + this.state.list(nowMs).length, ...parts };
    this.registry.hear({ endpoint: stated, serial: `serial of ${id}`, endsMs: nowMs + 86_400_000 });
  }

  async look() {
    const entries = this.state.list(nowMs);
    const deps = {
      mesh: "m",
      ledger: {
        activations: { head: () => ({ body: head }) },
        revisions: { head: () => ({ body: { number: 7 }, digest }) },
        trust: { head: () => undefined },
        problems: () => [],
      },
      policy: {
        activeRoutes: async () => routedTargets([unitWith("payments", { routes: [this.route] })]),
        activeDirectReads: async () => [],
      },
      rollouts: { running: () => undefined },
      fleet: { list: () => entries },
      expected: this.expected,
      registry: this.registry,
      problems: () => this.problems,
    } as unknown as MeshStatusDeps;
    const judge = { revocationOf: () => undefined, nowMs };
    const services = this.registry.list(entries, new Set(["payments"]), judge);
    const payments = services.find(({ name }) => name === "payments");
    const ready = { draining: false, hasRevision: true, revoked: undefined, hasApplication: true, unhealthy: "" };
    return {
      status: await meshStatus(deps, nowMs),
      a: payments?.endpoints.find(({ proxyId }) => proxyId === "a"),
      proxyA: entries.map((entry) => renderProxy(entry, head as never)).find(({ id }) => id === "a"),
      ready: reasonsNotReady({ ...ready, certificateExpiresMs: nowMs + 1, nowMs, carrying: [], ...this.notReady }),
    };
  }
}

const revoked: Revocation = { serial: "serial of a", reason: "stolen", timeMs: nowMs - 60_000 } as never;
const reach = (parts: Partial<NonNullable<Heartbeat["reach"]>>) => ({ unreached: [], reached: ["a", "b"], ...parts });
const ejectedA = reach({ ejected: [{ proxyId: "a", why: "its last calls all failed" }] });

type Says = {
  /** The problem of `status`, and a part of its sentence. */
  readonly status: readonly [Problem["code"], RegExp];
  /** What `services` says of instance a; undefined: that it is well. */
  readonly services?: RegExp | "absent";
  /** What `/readyz` of its proxy says. */
  readonly ready?: RegExp;
  readonly proxies?: Readonly<Record<string, unknown>>;
};
type Row = [state: string, change: (world: World) => Partial<ReadinessFacts> | undefined, says: Says];

const rows: readonly Row[] = [
  [
    "revoked",
    (it) => {
      it.proxy("a", {}, revoked);
      return { revoked: "the certificate was revoked" };
    },
    {
      status: ["proxy-revoked", /a \(payments\) still runs, and its certificate was revoked 1 min ago \(stolen\)/],
      services: /certificate was revoked/,
      ready: /revoked/,
      proxies: { live: false, serving: false, revokedReason: "stolen" },
    },
  ],
  [
    "unreachable",
    (it) => {
      for (const id of ["x", "y"])
        it.proxy(id, {
          reach: reach({ unreached: [{ proxyId: "a", address: "10.0.0.1:a", why: "timeout" }], reached: [] }),
        });
      return undefined; // its proxy cannot know
    },
    {
      status: ["endpoint-out-of-reach", /i-a of payments: 2 of 2 callers cannot connect to 10\.0\.0\.1:a: timeout/],
      services: /2 of 2 callers cannot connect/,
    },
  ],
  [
    "ejected by all callers",
    (it) => {
      for (const id of ["x", "y"]) it.proxy(id, { reach: ejectedA });
      return undefined;
    },
    {
      status: ["instance-ejected", /i-a of payments: 2 of 2 callers ejected it: its last calls all failed; said by x/],
      services: /2 of 2 callers ejected it/,
    },
  ],
  [
    "hung",
    (it) => {
      it.place("a", { unhealthy: "no answer for 15 s", timeMs: nowMs + 100 });
      return { unhealthy: "no answer for 15 s" };
    },
    {
      status: ["instance-unhealthy", /i-a of payments \(v1\) gets no calls: .*no answer for 15 s/],
      services: /no answer for 15 s/,
      ready: /the application cannot be called: no answer for 15 s/,
    },
  ],
  [
    "no application",
    (it) => {
      it.place("a", { gone: true, timeMs: nowMs + 100 });
      it.place("b", { gone: true, timeMs: nowMs + 100 });
      it.proxy("a", { serving: false });
      return { hasApplication: false };
    },
    {
      status: ["route-without-instance", /so its calls are answered 14; it has no healthy instance at all/],
      services: "absent",
      ready: /no application is registered/,
      proxies: { serving: false },
    },
  ],
  [
    "a version with weight and no endpoint",
    (it) => {
      it.route = routeTo(v1, v2);
      return undefined;
    },
    {
      status: [
        "version-without-instance",
        /no healthy instance of version v2, so that share of its calls goes to the others/,
      ],
    },
  ],
  [
    "only a version that nobody knows has weight",
    (it) => {
      it.route = routeTo({ version: "v9", weight: 1 });
      return undefined;
    },
    { status: ["route-without-instance", /no healthy instance of version v9, so its calls are answered 14/] },
  ],
  [
    "silent",
    (it) => {
      it.proxy("a", {}, undefined, nowMs - 20_000);
      return undefined;
    },
    {
      status: ["proxy-silent", /a \(payments\) went silent 20 s ago without leaving/],
      services: /its proxy is not heard of/,
      proxies: { live: false, active: false },
    },
  ],
  [
    "never heard of",
    (it) => {
      it.expected.expect({ proxyId: "n", service: "payments", version: "v1", sinceMs: nowMs - 120_000 });
      return undefined;
    },
    { status: ["proxy-never-heard", /n \(payments\) got an identity 2 min ago and was never heard of/] },
  ],
  [
    "behind",
    (it) => {
      it.proxy("a", {
        seenEpoch: 3,
        evaluatingEpoch: 3,
        evaluatingRevision: 6,
        evaluatingDigest: "cd".repeat(32) as never,
      });
      return undefined;
    },
    {
      status: ["proxy-behind", /a \(payments\) evaluates epoch 3, the mesh is at 4/],
      proxies: { active: false, epoch: 3 },
    },
  ],
  [
    "refuses the revision",
    (it) => {
      it.proxy("a", { rejected: { number: 7, digest: digest as never, reason: "field 14 is not known" } });
      return undefined;
    },
    {
      status: ["proxy-rejecting", /a \(payments\) refused revision 7: field 14 is not known/],
      proxies: { rejectedReason: "field 14 is not known" },
    },
  ],
  [
    "without some of its workers",
    (it) => {
      it.proxy("a", { workers: { wanted: 4, serving: 3 } });
      return { carrying: ["worker 2 does not carry calls"] };
    },
    {
      status: ["workers-missing", /a \(payments\): 3 of 4 workers carry calls/],
      ready: /worker 2 does not carry calls/,
      proxies: { workers: 4, workersServing: 3 },
    },
  ],
  [
    "NATS away",
    (it) => {
      it.problems.push(...followProblems(it.state, { connected: false }));
      return undefined;
    },
    { status: ["nats-away", /NATS is away: nothing can be published or activated/] },
  ],
];

test("a mesh in which everything is well has no problem", async () => {
  const { status, a, ready, proxyA } = await new World(() => undefined).look();
  expect([status.problems, status.healthy, a?.healthy, a?.why, ready]).toEqual([[], true, true, "", []]);
  expect(proxyA).toMatchObject({ live: true, active: true, serving: true, workers: 0 });
});

test.each(rows)("%s: status, services, proxies and readyz agree", async (_state, change, says) => {
  const { status, a, ready, proxyA } = await new World(change).look();
  const [code, sentence] = says.status;
  expect(status.healthy).toBe(false);
  expect(status.problemDetails).toContainEqual(
    expect.objectContaining({ code, message: expect.stringMatching(sentence) }),
  );
  if (says.services === undefined) expect([a?.healthy, a?.why]).toEqual([true, ""]);
  else if (says.services === "absent") expect(a).toBeUndefined();
  else expect([a?.healthy, a?.why]).toEqual([false, expect.stringMatching(says.services)]);
  expect(ready).toEqual(says.ready === undefined ? [] : [expect.stringMatching(says.ready)]);
  if (says.proxies !== undefined) expect(proxyA).toMatchObject(says.proxies);
});

test("one caller of several that has ejected an instance makes it a problem, and not unhealthy", async () => {
  const { status, a } = await new World((it) => {
    it.proxy("x", { reach: ejectedA });
    it.proxy("y", { reach: reach({}) });
    return undefined;
  }).look();
  expect(status.problemDetails.map((one) => one.code)).toEqual(["instance-ejected"]);
  expect([a?.healthy, a?.why]).toEqual([
    true,
    "1 of 2 callers ejected it: its last calls all failed; said by x (shop)",
  ]);
});

test("the page that says what status says has a row for each of these problems", () => {
  const page = readFileSync("docs/observing.md", "utf8");
  for (const [, , { status }] of rows) expect(page).toContain(`\`${status[0]}\``);
});
