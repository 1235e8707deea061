import { expect, test } from "@jest/globals";
import { ejectedToldMax, mergeEjected, reachedToldMax, reportReach, unreachedToldMax } from "../../../core/reach.js";
import { Reaches } from "../../../data-plane/proxy/reaches.js";

function start() {
  let nowMs = 0;
  const reaches = new Reaches(() => nowMs);
  const endpoint = (proxyId: string, address = "127.0.0.1:1") => ({ proxyId, service: "payments", address });
  return {
    reaches,
    at(ms: number) {
      nowMs = ms;
      return this;
    },
    failed: (id: string, address?: string) => reaches.failed(endpoint(id, address), "connect ECONNREFUSED"),
    reached: (id: string, address?: string) => reaches.reached(endpoint(id, address)),
    report: () => reportReach(reaches.read(), reaches.ejections()),
  };
}

test("an ejected instance is told until its time is over, or it gets calls again, though nobody calls it", () => {
  const it = start();
  it.reaches.ejected("b", "its last calls all failed", 10_000);
  it.reaches.ejected("a", "its answers take too long", 5000);
  const ejected = [
    { proxyId: "a", why: "its answers take too long" },
    { proxyId: "b", why: "its last calls all failed" },
  ];
  expect(it.report()).toEqual({ unreached: [], reached: [], ejected });
  expect(it.at(5000).report()?.ejected).toEqual(ejected.slice(1));
  it.reaches.returned("b");
  expect(it.report()).toBeUndefined();
});

test("at most sixteen ejected instances are told, each once, whichever worker says it", () => {
  const it = start();
  for (let index = 0; index < 3000; index += 1) it.reaches.ejected(`p-${index}`, "w", 10_000);
  expect(it.report()?.ejected).toHaveLength(ejectedToldMax);
  const worker = [{ proxyId: "a", why: "w" }];
  expect(mergeEjected([worker, [...worker, { proxyId: "b", why: "w" }]]).map(({ proxyId }) => proxyId)).toEqual([
    "a",
    "b",
  ]);
});

test("addresses outside the mesh are in no report: a control plane refuses a heartbeat that names them", () => {
  const it = start();
  for (const outside of ["203.0.113.7", "2001:db8::7"]) {
    it.reached(outside);
    it.failed(`${outside}8`);
    it.reaches.ejected(outside, "its last calls all failed", 60_000);
  }
  it.at(5000);
  for (const outside of ["203.0.113.7", "2001:db8::7"]) expect(it.failed(`${outside}8`)).toBe(true); // the log says it
  expect(it.report()).toBeUndefined();
  expect(it.reaches.countUnreached().get("payments")).toBe(2);
  it.reached("payments-a");
  expect(it.report()?.reached).toEqual(["payments-a"]);
});

test("sixty-four addresses outside crowd no proxy out", () => {
  const it = start();
  it.reached("payments-a");
  for (let index = 0; index < reachedToldMax; index += 1) it.reached(`203.0.113.${index}`);
  expect(it.report()?.reached).toEqual(["payments-a"]);
});

const about = (proxyId: string) => ({ proxyId, address: "127.0.0.1:1", why: "connect ECONNREFUSED" });

test("an instance that cannot be connected to is told once, after five seconds, and again after it was reached", () => {
  const it = start();
  expect([it.failed("a"), it.at(4999).failed("a"), it.failed("b")]).toEqual([false, false, false]);
  expect([it.at(5000).failed("a"), it.at(60_000).failed("a")]).toEqual([true, false]);
  expect([it.reached("b"), it.reached("a"), it.reached("a")]).toEqual([false, true, false]);
  expect([it.at(70_000).failed("a"), it.at(75_000).failed("a")]).toEqual([false, true]);
});

test("heartbeats tell it as long as it is so, and by service it is counted", () => {
  const it = start();
  expect(it.report()).toBeUndefined();
  it.reached("a");
  it.failed("b");
  expect(it.report()).toEqual({ unreached: [], reached: ["a"] });
  it.at(5000).failed("b");
  expect(it.report()).toEqual({ unreached: [about("b")], reached: ["a"] });
  expect([...it.reaches.countUnreached()]).toEqual([["payments", 1]]);
  it.at(6000).reached("b");
  expect(it.report()).toEqual({ unreached: [], reached: ["a", "b"] });
  expect([...it.reaches.countUnreached()]).toEqual([]);
});

test("of an instance that states another address, or that nobody tries any more, nothing is told", () => {
  const it = start();
  for (const ms of [0, 5000]) it.at(ms).failed("a");
  it.at(6000).reached("a", "127.0.0.1:2");
  expect(it.at(5000 + 120_001).report()).toEqual({ unreached: [], reached: ["a"] });
  expect(it.at(3 * 3_600_000).report()).toBeUndefined();
});

test("what was reached before and cannot be any more is told once, as out of reach", () => {
  const it = start();
  it.reached("a");
  for (const ms of [1000, 6000]) it.at(ms).failed("a");
  expect(it.report()).toEqual({ unreached: [about("a")], reached: [] });
});

test("what is kept and told is bounded: the oldest makes room; and a reason is one line of ASCII", () => {
  const it = start();
  for (let index = 0; index < 3000; index += 1) {
    it.failed(`p-${index}`);
    it.reached(`q-${index}`);
  }
  expect([it.at(5000).failed("p-2999"), it.failed("p-0")]).toEqual([true, false]);
  for (let index = 2500; index < 2999; index += 1) it.failed(`p-${index}`);
  const { unreached, reached } = it.report() ?? { unreached: [], reached: [] };
  expect([unreached.length, reached.length]).toEqual([unreachedToldMax, reachedToldMax]);
  const other = start();
  const endpoint = { proxyId: "a", service: "s", address: "h:1" };
  for (const ms of [0, 5000]) other.at(ms).reaches.failed(endpoint, `\u001b[31m bad\nline ${"é".repeat(300)} end`);
  expect(other.report()?.unreached[0]?.why).toBe("[31m bad line   end");
});
