/** What is recorded of rewritten and of repeated calls through two real proxies. */
import { type Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Retry, RouteRule } from "../../../core/model.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

const hello = Buffer.from("hello");
const [unary, streaming] = ["test.Bytes/Unary", "test.Bytes/ServerStream"];
const rewrite = { method: streaming };
const retry: Retry = { attempts: 3, on: ["UNAVAILABLE"], backoffMs: 1, maxBackoffMs: 5, perTryTimeoutMs: 0 };

let pair: ProxyPair;
let seen: Metadata[] = [];
let failures = 0;

beforeEach(async () => {
  seen = [];
  failures = 0;
  pair = await ProxyPair.start({
    Unary: (call, respond) => {
      seen.push(call.metadata);
      if (seen.length > failures) respond(null, call.request);
      else respond({ code: status.UNAVAILABLE });
    },
    ServerStream: (call) => {
      seen.push(call.metadata);
      call.write(call.request);
      call.end();
    },
  });
});
afterEach(() => pair.stop());

const policyOf = (revision: number, rule: Partial<RouteRule>, deny: readonly string[] = []) => {
  const rules = [{ match: undefined, split: [], timeoutMs: 0, ...rule }];
  const denied = deny.length === 0 ? [] : [{ from: ["*"], methods: deny }];
  return buildPolicy(revision, [{ service: "bytes", allow: [everyone], deny: denied, rules }]);
};
const both = (policy: ReturnType<typeof policyOf>) => {
  for (const side of [pair.caller, pair.callee]) side.policy.switchTo(policy);
};
const call = async () => (await pair.client().unary(hello)).error?.code ?? status.OK;
const sent = () => pair.caller.decisions.decisions.at(-1);
const judged = () => pair.callee.decisions.decisions.at(-1);

describe("a rewritten call", () => {
  test("has both names in both records, and its application gets neither header nor old name", async () => {
    both(policyOf(2, { rewrite }));
    for (let made = 0; made < 3; made++) expect(await call()).toBe(status.OK);
    expect(sent()).toMatchObject({ method: unary, sentMethod: streaming, attempts: 1, verdict: "routed" });
    expect(judged()).toMatchObject({ method: streaming, calledMethod: unary, verdict: "allowed" });
    expect(Object.keys(seen[0]?.getMap() ?? {}).filter((name) => name.startsWith("ashlar-"))).toEqual([
      "ashlar-caller",
    ]);
    both(policyOf(3, {}));
    expect(await call()).toBe(status.OK);
    expect(sent()).not.toHaveProperty("sentMethod");
    expect(judged()).not.toHaveProperty("calledMethod");
  });

  test("that is refused so often that it is only counted is counted under both names", async () => {
    both(policyOf(2, { rewrite }, [streaming]));
    for (let made = 0; made < 25; made++) expect(await call()).toBe(status.PERMISSION_DENIED);
    pair.callee.recorder.close();
    expect(pair.callee.decisions.counts).toMatchObject([{ method: streaming, calledMethod: unary, count: 5 }]);
  });

  test("keeps the headers that the rewriting rule reads in the record of the destination", async () => {
    const headers = [{ name: "x-beta", by: "absent" as const, value: "" }];
    both(policyOf(2, { rewrite, match: { methods: [unary], headers } }));
    expect(await call()).toBe(status.OK);
    expect(judged()).toMatchObject({
      calledMethod: unary,
      inputs: { headers: [{ name: "x-beta", content: { state: "missing" } }] },
    });
  });

  test("is judged in shadow by the method that would arrive under the candidate", async () => {
    both(policyOf(2, { rewrite }));
    pair.callee.policy.shadow = { policy: policyOf(3, {}, [streaming]), share: 1 };
    expect(await call()).toBe(status.OK);
    expect(pair.callee.tally.totals).toMatchObject({ same: 1, would_deny: 0 });
    pair.callee.policy.shadow = { policy: policyOf(4, {}, [unary]), share: 1 };
    expect(await call()).toBe(status.OK);
    expect(pair.callee.tally.totals).toMatchObject({ same: 1, would_deny: 1 });
    both(policyOf(5, {}));
    pair.callee.policy.shadow = { policy: policyOf(6, { rewrite }, [streaming]), share: 1 };
    expect(await call()).toBe(status.OK);
    const shadow = pair.callee.decisions.decisions.find(({ revision }) => revision === 6);
    expect(shadow).toMatchObject({ shadow: true, verdict: "denied", method: streaming, calledMethod: unary });
  });
});

test("what is no method in a peer's word about the method before is not recorded", async () => {
  const headers = { request: { add: [{ name: "ashlar-called-method", value: "no method" }] } };
  pair.caller.policy.switchTo(policyOf(2, { headers }));
  expect(await call()).toBe(status.OK);
  expect(judged()).not.toHaveProperty("calledMethod");
});

describe("attempts", () => {
  test("are in the record of a call that was tried again", async () => {
    failures = 2;
    both(policyOf(2, { retry }));
    expect(await call()).toBe(status.OK);
    expect(sent()).toMatchObject({ direction: "outbound", attempts: 3 });
    expect(await call()).toBe(status.OK);
    expect(sent()).toMatchObject({ attempts: 1 });
  });

  test("of a call that waits long are recorded as far as they are known", async () => {
    pair.callee.gate = () => ({ opened: new Promise(() => {}), leave: () => {} });
    void pair.client().unary(hello);
    await eventually("the call is at the other proxy", () => pair.callee.metrics.open === 1);
    expect(pair.caller.decisions.decisions).toEqual([]);
    pair.caller.recorder.close();
    expect(sent()).toMatchObject({ verdict: "routed", attempts: 1 });
  });
});
