/**
 * One proxy that calls the instances of a service while some of them hang, fail, leave and come, on a clock that is set:
 * 10,000 seeds. What is promised of ejection, stickiness and retries has to hold for each.
 */
import { expect, test } from "@jest/globals";
import { outcome } from "../../core/balance/outliers.js";
import { DestinationBudget, defaultRetryBudget } from "../../core/balance/retry-budget.js";
import { decideRetry } from "../../core/balance/retry-decision.js";
import { type Instance, Spread } from "../../core/balance/spread.js";
import type { Resilience } from "../../core/kinds/resilience/resilience.js";
import { chooseAmong, isOfTarget } from "../../core/route/choose-target.js";
import { runs } from "../support/runs.js";
import { drawsOf } from "../support/seeded-draws.js";

const seeds = runs(10_000);
const callsPerSeed = 120;
const everyMs = 20;
const timeoutMs = 1500;

type Fault = "none" | "hung" | "failing";
interface Simulated extends Instance {
  fault: Fault;
  open: number;
  timeoutsInARow: number;
}

const outliers = { consecutiveFailures: 4, consecutiveTimeouts: 3, baseEjectionMs: 800, maxEjectionMs: 2000 };
const split = [
  { version: "v1", weight: 70 },
  { version: "v2", weight: 30 },
];
const rule = { split, targets: ["v1", "v2"], failsWhenEmpty: false };
const retry = { attempts: 3, on: new Set([14]), backoffMs: 5, maxBackoffMs: 50, perTryTimeoutMs: 0 };

class World {
  readonly draw: () => number;
  readonly spread = new Spread<Simulated>("caller-1", []);
  readonly budget = new DestinationBudget(defaultRetryBudget, 0);
  readonly maxEjected: number;
  readonly sides = new Map<string, string>();
  instances: readonly Simulated[];
  nowMs = 0;
  calls = 0;
  retries = 0;
  problems: string[] = [];

  constructor(seed: number) {
    this.draw = drawsOf(seed);
    this.maxEjected = 2000 + Math.floor(this.draw() * 7000);
    const count = 2 + Math.floor(this.draw() * 7);
    this.instances = Array.from({ length: count }, (_, index) => this.#instance(`i${index}`));
    this.spread.follow(this.#policy());
  }

  #policy(): Resilience {
    return {
      ...{ kind: "Resilience", name: "payments", service: "payments" },
      outliers: { ...outliers, maxEjected: this.maxEjected },
    };
  }

  #instance(proxyId: string): Simulated {
    const version = this.draw() < 0.5 ? "v1" : "v2";
    return { proxyId, version, labels: [], fault: "none", open: 0, timeoutsInARow: 0 };
  }

  /** Something happens to the fleet at times. */
  change(): void {
    const which = Math.floor(this.draw() * this.instances.length);
    const one = this.instances[which] as Simulated;
    const what = this.draw();
    if (what < 0.3) one.fault = "hung";
    else if (what < 0.5) one.fault = "failing";
    else if (what < 0.8) one.fault = "none";
    else if (what < 0.9 && this.instances.length > 2) this.instances = this.instances.filter((each) => each !== one);
    else this.instances = [...this.instances, this.#instance(`n${this.calls}`)];
    if (what >= 0.8) this.sides.clear(); // who is there changed, and with it which target has instances
  }

  call(): void {
    this.calls++;
    this.budget.earn(this.nowMs);
    const user = `u${Math.floor(this.draw() * 5)}`;
    for (let tries = 1; ; tries++) {
      const code = this.#attempt(user);
      const again = decideRetry(retry, { code, tries, pushbackMs: undefined }, this.draw());
      if (!again.again || !this.budget.take(this.nowMs)) return;
      this.retries++;
      this.nowMs += Math.ceil(again.waitMs);
    }
  }

  #attempt(user: string): number {
    const eligible = this.spread.eligible(this.instances, this.nowMs);
    this.#checkEligible(eligible);
    const choice = chooseAmong(rule, { service: "payments", draw: this.draw(), key: user }, eligible);
    if (choice.kind !== "target") return this.#problem("nobody was chosen");
    this.#checkSide(user, choice.target.version, eligible);
    const candidates = eligible.filter((each) => isOfTarget(choice.target, each));
    const loadOf = ({ open }: Simulated): number => open;
    const picked = this.spread.pick(candidates, this.draw(), undefined, loadOf, this.nowMs);
    if (picked === undefined) return this.#problem("no instance was picked");
    return this.#send(picked);
  }

  #send(picked: Simulated): number {
    const { fault, proxyId } = picked;
    const what = fault === "hung" ? outcome.timeout : fault === "failing" ? outcome.failure : outcome.success;
    const tookMs = fault === "hung" ? timeoutMs : 5;
    const isOut = this.spread.isEjected(picked, this.nowMs); // in a panic it is called all the same
    picked.timeoutsInARow = fault === "hung" && !isOut ? picked.timeoutsInARow + 1 : 0;
    const ejection = this.spread.note(proxyId, what, tookMs, this.nowMs);
    const most = Math.max(1, Math.floor((this.instances.length * this.maxEjected) / 10_000));
    // instances that leave can push the share of those that are out over the bound; no ejection does
    if (ejection !== undefined && this.spread.ejected > most)
      this.#problem(`${this.spread.ejected} of ${this.instances.length} are ejected`);
    if (ejection !== undefined) picked.timeoutsInARow = 0;
    else if (picked.timeoutsInARow >= outliers.consecutiveTimeouts && this.spread.ejected < most)
      this.#problem(`${proxyId} hangs, ${picked.timeoutsInARow} calls timed out, and it is still called`);
    return what === outcome.success ? 0 : what === outcome.failure ? 14 : 4;
  }

  #checkEligible(eligible: readonly Simulated[]): void {
    if (eligible.length === 0) this.#problem("the service is empty though it has instances");
    const ejected = eligible.filter((each) => this.spread.isEjected(each, this.nowMs));
    if (ejected.length > 0 && !this.spread.isPanic) this.#problem(`${ejected[0]?.proxyId} is ejected and eligible`);
  }

  /** While both versions have eligible instances a user stays on one side. */
  #checkSide(user: string, version: string, eligible: readonly Simulated[]): void {
    if (new Set(eligible.map((each) => each.version)).size < 2) return;
    const before = this.sides.get(user) ?? version;
    if (before !== version) this.#problem(`${user} was moved from ${before} to ${version}`);
    this.sides.set(user, version);
  }

  #problem(what: string): number {
    this.problems.push(`at ${this.nowMs} ms: ${what}`);
    return 14;
  }

  /** All faults end; nobody stays out for longer than the longest ejection. */
  settle(): void {
    for (const each of this.instances) each.fault = "none";
    this.nowMs += outliers.maxEjectionMs + 1;
    const eligible = this.spread.eligible(this.instances, this.nowMs);
    if (eligible.length !== this.instances.length) this.#problem("a recovered instance is still out");
  }
}

test("ejection, stickiness and retry budgets keep what is promised, whatever happens to the fleet", () => {
  const first = Number(process.env.TRAFFIC_SEED ?? 1);
  let [retries, calls] = [0, 0];
  for (let seed = first; seed < first + seeds; seed++) {
    const world = new World(seed);
    for (let step = 0; step < callsPerSeed; step++) {
      world.nowMs += everyMs;
      if (world.draw() < 0.05) world.change();
      world.call();
    }
    const most = world.calls * 0.2 + (world.nowMs / 1000 + 1) * defaultRetryBudget.perSecond;
    if (world.retries > most) world.problems.push(`${world.retries} retries of ${world.calls} calls`);
    world.settle();
    if (world.problems.length > 0) throw new Error(`TRAFFIC_SEED=${seed}: ${world.problems[0]}`);
    retries += world.retries;
    calls += world.calls;
  }
  expect(calls).toBe(seeds * callsPerSeed);
  expect(retries).toBeGreaterThan(calls / 100);
});
