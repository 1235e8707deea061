/** What an application is told of where its reads may go. */
import { expect, test } from "@jest/globals";
import type { Endpoint } from "../../../core/model.js";
import { DirectReads } from "../../../data-plane/agent/direct-reads.js";
import { systemClock } from "../../../runtime/clock.js";
import { buildPolicy, everyone, FakePolicy, FakeTrust, mesh } from "../../support/proxy-fakes.js";

const journal = {
  methods: ["test.Bytes/Put"],
  mode: "before" as const,
  response: "bytes" as const,
  idempotencyKey: undefined,
  orderBy: undefined,
};
const unit = { service: "bytes", allow: [everyone], noSideEffects: ["test.Bytes/Get"] };
const proxied = { ...unit, journal };
const reads = { version: "", waitMs: 1000, way: "direct" } as const;
const direct = { ...proxied, journal: { ...proxied.journal, reads } };

const endpoint = (proxyId: string, version = "v1", more: Partial<Endpoint> = {}): Endpoint => ({
  ...{
    proxyId,
    service: "bytes",
    instance: proxyId,
    version,
    address: `${proxyId}:1`,
    labels: [],
    gone: false,
    timeMs: 0,
  },
  ...more,
});

function open() {
  const policy = new FakePolicy();
  const trust = new FakeTrust(["ROOT"]);
  const listeners = new Set<(service: string) => void>();
  const state = { there: [] as Endpoint[] };
  const endpoints = {
    endpoints: () => state.there,
    ready: async () => {},
    onChange: (listener: (service: string) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const identity = { current: { mesh, proxyId: "proxy-shop" } };
  const issue = async () => [];
  const agent = new DirectReads({ policy, endpoints, trust, identity, clock: systemClock, issue });
  const place = (...there: Endpoint[]): void => {
    state.there = there;
    for (const listener of listeners) listener("bytes");
  };
  return { policy, agent, place };
}

test("it is told at once of policy and of instances, and only of those that calls go to", async () => {
  const { policy, agent, place } = open();
  const life = new AbortController();
  const told = agent.follow("bytes", life.signal);
  const next = async () => {
    const { value } = await told.next();
    return value?.whyNot || value?.endpoints.map(({ address }: { address: string }) => address).sort();
  };
  expect(await next()).toBe("this proxy has no revision");
  policy.switchTo(buildPolicy(1, [proxied]));
  expect(await next()).toBe("no Journal of bytes has reads: direct");
  policy.switchTo(buildPolicy(2, [direct]));
  expect(await next()).toBe("no instance of bytes takes calls");
  place(endpoint("a"), endpoint("b", "v2"), endpoint("c", "v1", { unhealthy: "stopped" }));
  expect(await next()).toEqual(["a:1", "b:1"]);
  const rules = [
    {
      match: { methods: ["*"] },
      split: [
        { version: "v1", weight: 1 },
        { version: "v2", weight: 0 },
      ],
    },
  ];
  policy.switchTo(buildPolicy(3, [{ ...direct, rules: rules as never }]));
  expect(await next()).toEqual(["a:1"]);
  policy.switchTo(buildPolicy(4, []));
  expect(await next()).toBe("this mesh has no service bytes");
  life.abort();
  expect((await told.next()).done).toBe(true);
});

test("an application is told of sixteen instances of a hundred, the same ones each time", async () => {
  const { policy, agent, place } = open();
  policy.switchTo(buildPolicy(1, [direct]));
  place(...Array.from({ length: 100 }, (_, index) => endpoint(`p${index}`)));
  const first = async () => (await agent.follow("bytes", new AbortController().signal).next()).value?.endpoints;
  const [once, again] = [await first(), await first()];
  expect(once).toHaveLength(16);
  expect(again).toEqual(once);
  expect(once?.[0]).toMatchObject({ version: "v1" });
});

test("what is no service's name is refused", async () => {
  const { agent } = open();
  await expect(agent.follow("../x", new AbortController().signal).next()).rejects.toMatchObject({
    code: "invalid_argument",
  });
});
