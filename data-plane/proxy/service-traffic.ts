/**
 * What a proxy knows about each service that it calls, for spreading calls over instances. All calls of the process
 * share it.
 */
import { status } from "@grpc/grpc-js";
import { type BreakerBound, BreakerCounts } from "../../core/balance/breaker.js";
import { type EjectionReason, type Outcome, outcome } from "../../core/balance/outliers.js";
import { DestinationBudget, defaultRetryBudget } from "../../core/balance/retry-budget.js";
import { Spread } from "../../core/balance/spread.js";
import { BoundedMap } from "../../core/bounded-map.js";
import type { Resilience } from "../../core/kinds/resilience/resilience.js";
import type { Endpoint, Label } from "../../core/model.js";
import type { Logger } from "../../runtime/log.js";
import type { AttemptOutcome } from "./forward/attempt-outcome.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import type { Reaches } from "./reaches.js";

const servicesMax = 1000;
const whyEjected: Readonly<Record<EjectionReason, string>> = {
  failures: "its last calls all failed",
  timeouts: "its last calls were all left without an answer",
  "success-rate": "too many of its calls failed",
  latency: "its answers take too long",
};

const boundTexts: Readonly<Record<BreakerBound, string>> = {
  calls: "calls are open",
  waiting: "calls wait for a stream",
  connections: "connections are open",
};
/** The gRPC codes that blame the server or its connection. */
const failures: ReadonlySet<number> = new Set([status.UNAVAILABLE, status.INTERNAL, status.UNKNOWN]);

export interface TrafficDeps {
  readonly proxyId: string;
  /** The proxy's own labels, by which near instances are preferred. */
  readonly labels: readonly Label[];
  readonly log: Logger;
  nowMs(): number;
  /** Counts the retries that the budget refused. */
  readonly retries: { refused: number };
  readonly metrics: Pick<ProxyMetrics, "ejected" | "returned">;
  /** Keeps which instances could be connected to. */
  readonly reaches: Reaches;
}

/** The state of one called service. */
export class ServiceTraffic {
  readonly service: string;
  readonly spread: Spread<Endpoint>;
  /** The budget for sending calls again. */
  readonly budget: DestinationBudget;
  readonly breaker = new BreakerCounts({});
  /** The number of open copies of calls. */
  mirrorsOpen = 0;
  readonly #deps: TrafficDeps;
  #policy: Resilience | undefined;
  #out = new Set<string>();

  constructor(deps: TrafficDeps, service: string) {
    this.#deps = deps;
    this.service = service;
    this.spread = new Spread(deps.proxyId, deps.labels);
    this.budget = new DestinationBudget(defaultRetryBudget, deps.nowMs(), deps.retries);
  }

  /** Applies the service's current policy. */
  follow(policy: Resilience | undefined): void {
    if (policy === this.#policy) return;
    this.#policy = policy;
    this.spread.follow(policy);
    this.breaker.bounds = policy?.breaker ?? {};
    const share = policy?.breaker?.retries ?? defaultRetryBudget.share;
    this.budget.options = { ...defaultRetryBudget, share };
  }

  /** Returns the instances that get calls now; the same array until something changes. */
  eligible(all: readonly Endpoint[]): readonly Endpoint[] {
    const nowMs = this.#deps.nowMs();
    const eligible = this.spread.eligible(all, nowMs);
    if (this.#out.size > 0) this.#noteReturned(all, nowMs);
    return eligible;
  }

  /** Notes the result of an attempt at an instance, `tookMs` after it was sent. */
  note(endpoint: Endpoint, what: Outcome, tookMs: number): void {
    const ejection = this.spread.note(endpoint.proxyId, what, tookMs, this.#deps.nowMs());
    if (ejection === undefined) return;
    this.#out.add(endpoint.proxyId);
    const { log, metrics, reaches } = this.#deps;
    metrics.ejected(this.service, ejection.reason);
    reaches.ejected(endpoint.proxyId, whyEjected[ejection.reason], ejection.untilMs);
    const { instance, version, address } = endpoint;
    const forMs = ejection.untilMs - this.#deps.nowMs();
    const about = { service: this.service, instance, version, address, forMs, reason: ejection.reason };
    log.warn(
      `an instance of ${this.service} gets no calls for ${Math.round(forMs)} ms: ${whyEjected[ejection.reason]}`,
      about,
    );
  }

  /** Notes that connecting to an instance failed. The log says so once that has been the case for 5 s. */
  noteUnreached(endpoint: Endpoint, why: string): void {
    if (!this.#deps.reaches.failed(endpoint, why)) return;
    const { instance, version, address } = endpoint;
    const about = { service: this.service, instance, version, address, why };
    this.#deps.log.warn(
      `an instance of ${this.service} cannot be connected to: its calls go to others; is ${address} what its --advertise should say?`,
      about,
    );
  }

  /** Notes that an instance was connected to. */
  noteReached(endpoint: Endpoint): void {
    if (!this.#deps.reaches.reached(endpoint)) return;
    const { instance, version, address } = endpoint;
    this.#deps.log.info(`an instance of ${this.service} can be connected to again`, { instance, version, address });
  }

  /** Returns why the breaker allows no connection beside the `open` ones, or undefined if it does. */
  whyNotDial(open: () => number): string | undefined {
    if (this.#policy?.breaker?.connections === undefined || this.breaker.allowsConnection(open())) return undefined;
    return this.renderBreaker("connections");
  }

  /** Returns the text for the caller of a call that the breaker refused. */
  renderBreaker(bound: BreakerBound): string {
    const most = this.#policy?.breaker?.[bound] ?? 0;
    return `the circuit breaker of ${this.service} is open: ${most} ${boundTexts[bound]}, which is the most`;
  }

  #noteReturned(all: readonly Endpoint[], nowMs: number): void {
    for (const proxyId of this.#out) {
      const endpoint = all.find((one) => one.proxyId === proxyId);
      if (endpoint !== undefined && this.spread.isEjected(endpoint, nowMs)) continue;
      this.#out.delete(proxyId);
      this.#deps.metrics.returned(this.service);
      this.#deps.reaches.returned(proxyId);
      if (endpoint === undefined) continue;
      const { instance, version, address } = endpoint;
      this.#deps.log.info(`an instance of ${this.service} gets calls again`, { instance, version, address });
    }
  }
}

/**
 * Returns whether an attempt's end counts for or against the instance. undefined: it counts for neither. `code`: the
 * status of an answered attempt. `isLate`: the call's deadline has passed or is about to. The proxy of a hanging
 * application then answers DEADLINE_EXCEEDED, and that this answer is quick says nothing for the application.
 */
export function outcomeOf(ended: AttemptOutcome, code: number, isLate: boolean): Outcome | undefined {
  if (ended === "cancelled" || ended === "refused") return undefined;
  if (ended === "silent") return outcome.timeout;
  if (ended !== "answered") return outcome.failure;
  if (code === status.DEADLINE_EXCEEDED && isLate) return outcome.timeout;
  return failures.has(code) ? outcome.failure : outcome.success;
}

/** The state of all services. */
export class Traffic {
  readonly #deps: TrafficDeps;
  readonly #services = new BoundedMap<string, ServiceTraffic>(servicesMax);

  constructor(deps: TrafficDeps) {
    this.#deps = deps;
  }

  of(service: string): ServiceTraffic {
    const known = this.#services.get(service);
    if (known !== undefined) return known;
    const made = new ServiceTraffic(this.#deps, service);
    this.#services.set(service, made);
    return made;
  }
}
