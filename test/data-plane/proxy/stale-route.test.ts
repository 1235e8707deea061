/** Routes that a proxy must not use when it may have missed what is in force. */
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { RouteRule } from "../../../core/model.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { ProxyPair } from "../../support/proxy-pair.js";

const hello = Buffer.from("hello");
let pair: ProxyPair;

beforeEach(async () => {
  pair = await ProxyPair.start({ Unary: (call, callback) => callback(null, call.request) });
});
afterEach(() => pair.stop());

type Staleness = Pick<RouteRule, "maxStalenessMs" | "onStale">;

function useRoute(staleness: Staleness = {}): void {
  const rules: RouteRule[] = [{ match: undefined, split: [], timeoutMs: 0, ...staleness }];
  pair.caller.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], rules }]));
}

test("calls are answered 14 with the age once nothing was heard of the mesh for too long, and go on when it is", async () => {
  useRoute({ maxStalenessMs: 30_000, onStale: "fail" });
  expect((await pair.client().unary(hello)).error).toBeUndefined();
  pair.caller.policy.freshnessAgeMs = 45_000;
  const { error, trailers } = await pair.client().unary(hello);
  expect(error?.code).toBe(status.UNAVAILABLE);
  expect(error?.details).toBe(
    "policy may be out of date: nothing was heard of the mesh for 45 s, this route allows 30 s",
  );
  expect(trailers.get("ashlar-revision")).toEqual(["2"]);
  pair.caller.policy.freshnessAgeMs = Number.POSITIVE_INFINITY;
  expect((await pair.client().unary(hello)).error?.details).toContain("nothing was heard of the mesh yet");
  pair.caller.policy.freshnessAgeMs = 30_000;
  expect((await pair.client().unary(hello)).error).toBeUndefined();
});

test("it is the caller's proxy that judges, and only where the route says fail", async () => {
  useRoute({ maxStalenessMs: 30_000, onStale: "fail" });
  pair.callee.policy.freshnessAgeMs = 45_000;
  expect((await pair.client().unary(hello)).error).toBeUndefined();
  pair.caller.policy.freshnessAgeMs = 45_000;
  useRoute({ maxStalenessMs: 30_000, onStale: "keep" });
  expect((await pair.client().unary(hello)).error).toBeUndefined();
  useRoute(undefined);
  expect((await pair.client().unary(hello)).error).toBeUndefined();
});
