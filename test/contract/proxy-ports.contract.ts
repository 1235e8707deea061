/** What calls rely on wherever they are carried: in the process that hears of policy, or in one that is told of it. */
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { buildSpiffeId } from "../../core/identity.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import type { AppRegistration, EvaluatedPolicy } from "../../data-plane/ports.js";
import type { PortsWorld, ProxyPorts } from "../support/ports-world.js";
import { testMesh } from "../support/records.js";
import { untilTrue } from "../support/until.js";

export interface OpenedPorts {
  /** Where things happen. */
  readonly world: PortsWorld;
  readonly ports: ProxyPorts;
  close(): Promise<void>;
}

const inputs: CallInputs = {
  header: () => undefined,
  claims: undefined,
  tokenIssuer: undefined,
  nowMs: 0,
  sourceAddress: undefined,
  sourceLabels: undefined,
  destinationLabels: new Map(),
};

export function describeProxyPorts(name: string, open: () => Promise<OpenedPorts>): void {
  describe(name, () => {
    let opened: OpenedPorts;
    let world: PortsWorld;
    let ports: ProxyPorts;
    beforeEach(async () => {
      opened = await open();
      ({ world, ports } = opened);
    });
    afterEach(() => opened.close());

    const evaluates = (epoch: number) => untilTrue(() => ports.policy.current?.epoch === epoch);
    const mayCall = (policy: EvaluatedPolicy | undefined, caller: string, service = "payments") =>
      policy?.unit(service)?.evaluateCall(buildSpiffeId(testMesh, "service", caller), "a.B/C", inputs).allow;

    test("I4: before the first switch nothing is evaluated, nothing was heard, and no service can be used", async () => {
      expect(ports.policy.current).toBeUndefined();
      expect(ports.policy.shadow).toBeUndefined();
      expect(ports.policy.seenEpoch).toBe(0);
      expect(ports.policy.freshnessAgeMs).toBe(Number.POSITIVE_INFINITY);
      await expect(ports.policy.useService("inventory")).rejects.toMatchObject({ code: "unavailable" });
    });

    test("a switch replaces the policy as a whole; listeners hear of it when it is in force", async () => {
      const heard: (readonly [EvaluatedPolicy, boolean])[] = [];
      const stop = ports.policy.onSwitch((policy) => heard.push([policy, policy === ports.policy.current]));
      const [first, second] = [await world.publish("guest"), await world.publish("shop")];
      await world.activate(first);
      await evaluates(1);
      const before = ports.policy.current;
      expect(before).toMatchObject({ epoch: 1, revision: 1, revisionDigest: first.record.digest });
      expect([mayCall(before, "guest"), mayCall(before, "shop")]).toEqual([true, false]);
      expect(["payments", "inventory", "nobody", "@mesh"].map((service) => before?.has(service))).toEqual([
        ...[true, true, false, false],
      ]);
      await world.activate(second);
      await evaluates(2);
      expect([mayCall(ports.policy.current, "guest"), mayCall(ports.policy.current, "shop")]).toEqual([false, true]);
      expect(mayCall(before, "guest")).toBe(true); // who holds the old one still has it whole
      expect(heard.map(([{ epoch }, isCurrent]) => [epoch, isCurrent])).toEqual([
        [1, true],
        [2, true],
      ]);
      stop();
      await world.activate(first);
      await evaluates(3);
      expect(heard).toHaveLength(2);
      await untilTrue(() => ports.policy.seenEpoch === 3);
    });

    test("a service's unit is there once it was used; what the revision does not have is false", async () => {
      await world.activate(await world.publish("guest"));
      await evaluates(1);
      expect(ports.policy.current?.unit("inventory")).toBeUndefined();
      expect(await Promise.all([ports.policy.useService("inventory"), ports.policy.useService("inventory")])).toEqual([
        true,
        true,
      ]);
      expect(mayCall(ports.policy.current, "guest", "inventory")).toBe(true);
      expect(await ports.policy.useService("nobody")).toBe(false);
      await world.activate(await world.publish("shop"));
      await evaluates(2);
      expect(mayCall(ports.policy.current, "shop", "inventory")).toBe(true);
    });

    test("a peer's higher epoch is looked for before its call goes on; an older one, or nonsense, changes nothing", async () => {
      const first = await world.publish("guest");
      await world.activate(first);
      await evaluates(1);
      world.reading.loses = true;
      await world.activate(first);
      await ports.policy.hearOfEpoch(1, "spiffe://test.mesh/service/guest");
      await ports.policy.hearOfEpoch(Number.NaN, "spiffe://test.mesh/service/guest");
      expect(ports.policy.seenEpoch).toBe(1);
      const peers = [1, 2, 3].map(() => ports.policy.hearOfEpoch(2, "spiffe://test.mesh/service/guest"));
      await Promise.all(peers);
      expect(ports.policy.seenEpoch).toBe(2);
      world.reading.loses = false;
      await evaluates(2);
    });

    test("the age of what was heard grows until the next statement", async () => {
      await world.activate(await world.publish("guest"));
      await evaluates(1);
      await untilTrue(() => {
        world.sayFresh();
        return Number.isFinite(ports.policy.freshnessAgeMs);
      }, 5000);
      const before = ports.policy.freshnessAgeMs;
      await untilTrue(() => ports.policy.freshnessAgeMs > before);
    });

    test("a candidate is asked while calls are judged by the epoch that ordered it, and is whole when it is", async () => {
      const [active, candidate] = [await world.publish("guest"), await world.publish("shop")];
      await world.activate(active);
      await evaluates(1);
      await world.orderShadow(active, candidate);
      await untilTrue(() => ports.policy.shadow !== undefined);
      const { shadow } = ports.policy;
      expect(shadow).toMatchObject({ share: 0.25, policy: { epoch: 2, revision: 2 } });
      expect(ports.policy.shadow).toBe(shadow);
      expect([ports.policy.current?.epoch, ports.policy.current?.revision]).toEqual([2, 1]);
      expect([mayCall(shadow?.policy, "guest"), mayCall(shadow?.policy, "shop")]).toEqual([false, true]);
      await world.activate(active);
      await evaluates(3);
      expect(ports.policy.shadow).toBeUndefined();
    });

    test("a revocation is in force when its record is; the same issuers stay the same list", async () => {
      expect([ports.trust.sequence, ports.trust.isRevoked("ab")]).toEqual([1, false]);
      const { issuers } = ports.trust;
      let told = 0;
      const stop = ports.trust.onChange(() => {
        if (ports.trust.isRevoked("ab")) told += 1;
      });
      await world.revoke("ab");
      await untilTrue(() => told === 1);
      expect([ports.trust.sequence, ports.trust.isRevoked("cd")]).toEqual([2, false]);
      expect(ports.trust.issuers).toBe(issuers);
      stop();
    });

    test("endpoints are followed from the first use, and told when they change", async () => {
      await world.addEndpoint("inventory", "one");
      expect(ports.endpoints.endpoints("inventory")).toEqual([]);
      await ports.endpoints.ready("inventory");
      const proxies = () => ports.endpoints.endpoints("inventory").map(({ proxyId }) => proxyId);
      expect(proxies()).toEqual(["one"]);
      const heard: string[] = [];
      const stop = ports.endpoints.onChange((service) => heard.push(service));
      await world.addEndpoint("inventory", "two");
      await untilTrue(() => proxies().length === 2);
      await world.addEndpoint("inventory", "one", { gone: true, timeMs: Date.now() + 1 });
      await untilTrue(() => proxies().join() === "two");
      expect(new Set(heard)).toEqual(new Set(["inventory"]));
      stop();
      await ports.endpoints.ready("nobody");
      expect(ports.endpoints.endpoints("nobody")).toEqual([]);
    });

    test("an application whose socket refused is gone at once, for all who ask; another one is not", async () => {
      const app: AppRegistration = { instance: "one", target: { path: "/run/app.sock" } };
      const heard: (string | undefined)[] = [];
      ports.app.onChange((current) => heard.push(current?.instance));
      expect(ports.app.current).toBeUndefined();
      let refused = 0;
      world.registry.register(app, () => refused++);
      await untilTrue(() => ports.app.current !== undefined);
      expect(ports.app.current).toEqual(app);
      ports.app.reportRefused({ ...app });
      expect(ports.app.current).toEqual(app);
      if (ports.app.current !== undefined) ports.app.reportRefused(ports.app.current);
      expect(ports.app.current).toBeUndefined();
      await untilTrue(() => refused === 1 && world.registry.current === undefined);
      world.registry.register({ ...app, instance: "two" }, () => {});
      await untilTrue(() => ports.app.current?.instance === "two");
      expect([heard[0], heard.at(-1)]).toEqual(["one", "two"]);
      expect(heard).toContain(undefined);
    });

    test("an identity is replaced as a whole before anybody hears of it", async () => {
      expect(ports.identity.current).toMatchObject({ serial: "01", service: "payments" });
      const heard: string[] = [];
      const stop = ports.identity.onRotate(() => heard.push(ports.identity.current.serial));
      world.identity.renew("02");
      await untilTrue(() => heard.length === 1);
      expect([heard, ports.identity.current.serial]).toEqual([["02"], "02"]);
      stop();
      world.identity.renew("03");
      await untilTrue(() => ports.identity.current.serial === "03");
      expect(heard).toHaveLength(1);
    });
  });
}
