/** Whose turn a call takes where calls wait for a stream. */
import { expect, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import { MemoryBudget } from "../../../data-plane/http2/memory-budget.js";
import type { Stream } from "../../../data-plane/http2/stream.js";
import { EndpointRace, type EndpointRaceDeps } from "../../../data-plane/proxy/endpoint-race.js";
import { Call } from "../../../data-plane/proxy/forward/call.js";
import type { CallOwner } from "../../../data-plane/proxy/forward/call-owner.js";
import type { StreamWaiter } from "../../../data-plane/proxy/stream-queue.js";

const nothing = (): void => {};

function lineOf(change: (call: Call) => void): string | undefined {
  const asked: StreamWaiter[] = [];
  const inbound = { connection: { budget: new MemoryBudget() } } as unknown as Stream;
  const gateway = buildSpiffeId("test", "gateway", "public");
  const call = new Call({ nowMs: () => 0 } as unknown as CallOwner<Call>, inbound, "a", "a.B/C", gateway, false, 0);
  change(call);
  const deps = {
    choice: { choose: () => ({ proxyId: "a" }), targetOf: () => ({ key: "a" }) },
    pool: { reachOf: () => 0, acquire: (_target: unknown, waiter: StreamWaiter) => void asked.push(waiter) },
    deadlines: { add: nothing, remove: nothing },
    nowMs: () => 0,
  };
  new EndpointRace(deps as unknown as EndpointRaceDeps, call, nothing).start();
  return asked[0]?.caller;
}

test("a call goes in its caller's turn, and that of a gateway's client in the client's own", () => {
  expect(lineOf(() => {})).toBe("spiffe://test/gateway/public");
  expect(
    lineOf((call) => {
      call.line = "203.0.113.7";
    }),
  ).toBe("203.0.113.7");
});
