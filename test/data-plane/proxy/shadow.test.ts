/** A candidate beside the active revision, on real calls: it is asked, counted and recorded, and never obeyed. */
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { EvaluatedPolicy } from "../../../data-plane/ports.js";
import { ShadowTally } from "../../../data-plane/proxy/shadow-tally.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

const hello = Buffer.from("hello");
const caller = "spiffe://test/service/shop";
const deniesAll = (epoch: number): EvaluatedPolicy => ({ ...buildPolicy(2, [{ service: "bytes" }]), epoch });

describe("a candidate beside the active revision", () => {
  let pair: ProxyPair;
  beforeEach(async () => {
    pair = await ProxyPair.start({
      Unary: (call, callback) => callback(null, call.request),
      Bidi: (call) => call.end(),
    });
  });
  afterEach(() => pair.stop());
  const call = async () => (await pair.client().unary(hello)).error;
  const shadows = () => pair.callee.decisions.decisions.filter(({ shadow }) => shadow);

  test("that would deny: the call is served, the flip counted and recorded as the candidate's", async () => {
    const policy = deniesAll(1);
    pair.callee.policy.shadow = { policy, share: 1 };
    expect(await call()).toBeUndefined();
    expect(await call()).toBeUndefined();
    const { flips, ...counts } = pair.callee.tally.read(policy);
    expect(counts).toMatchObject({ same: 0, wouldDeny: 2, wouldAllow: 0, errors: 0 });
    expect(flips).toMatchObject([{ caller, wouldDeny: 2, wouldAllow: 0 }]);
    expect(shadows()).toHaveLength(2);
    expect(shadows()[0]).toMatchObject({ verdict: "denied", rule: "default-deny", revision: 2, caller, shadow: true });
  });

  test("that would allow: the call is refused all the same", async () => {
    pair.callee.policy.switchTo(buildPolicy(3, []));
    const policy = buildPolicy(4, [{ service: "bytes", allow: [everyone] }]);
    pair.callee.policy.shadow = { policy, share: 1 };
    expect((await call())?.code).toBe(7);
    expect(pair.callee.tally.read(policy)).toMatchObject({ wouldAllow: 1, wouldDeny: 0 });
    expect(shadows()).toMatchObject([{ verdict: "allowed", revision: 4, shadow: true }]);
  });

  test("that fails is an error outcome, and the call is served", async () => {
    const policy: EvaluatedPolicy = {
      ...deniesAll(1),
      unit: () => {
        throw new Error("broken");
      },
    };
    pair.callee.policy.shadow = { policy, share: 1 };
    expect(await call()).toBeUndefined();
    expect(pair.callee.tally.read(policy)).toMatchObject({ errors: 1, wouldDeny: 0 });
  });

  test("is asked about its share only, and about nothing without an order", async () => {
    const policy = deniesAll(1);
    for (let made = 0; made < 20; made++) await call();
    expect(pair.callee.tally.totals).toEqual({ same: 0, would_deny: 0, would_allow: 0, error: 0 });
    pair.callee.policy.shadow = { policy, share: 1e-9 };
    for (let made = 0; made < 20; made++) await call();
    expect(pair.callee.tally.totals.would_deny).toBe(0);
  });

  test("has a bounded number of its decisions recorded, and all of them counted", async () => {
    const policy = deniesAll(1);
    pair.callee.policy.shadow = { policy, share: 1 };
    const client = pair.client();
    await Promise.all(Array.from({ length: 80 }, () => client.unary(hello)));
    await eventually("all are judged", () => pair.callee.tally.totals.would_deny === 80);
    expect(shadows()).toHaveLength(50);
  });
});

describe("the tally", () => {
  test("begins anew with another epoch, and never loses totals", () => {
    const tally = new ShadowTally();
    tally.count(deniesAll(1), "would_deny", caller, "s.S/M");
    expect(tally.read(deniesAll(2))).toMatchObject({ epoch: 2, wouldDeny: 0, flips: [] });
    expect(tally.totals.would_deny).toBe(1);
  });

  test("names twenty pairs, and no method that is none; all are counted", () => {
    const [tally, policy] = [new ShadowTally(), deniesAll(1)];
    tally.count(policy, "would_deny", caller, "no\u0000method");
    for (let index = 0; index < 30; index++) tally.count(policy, "would_deny", caller, `s.S/M${index}`);
    const { flips, wouldDeny } = tally.read(policy);
    expect([flips.length, wouldDeny]).toEqual([20, 31]);
  });
});
