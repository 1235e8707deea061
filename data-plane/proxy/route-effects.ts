/** What a route's rule does with its calls besides choosing where they go: faults, tries after failures, copies. */

import type { Hedge } from "../../core/model.js";
import type { CompiledRouteRule } from "../../core/policy/compiled-route.js";
import type { Answer } from "./answer.js";
import { CallRetry, type CallRetryDeps } from "./call-retry.js";
import type { EndpointChoice } from "./endpoint-choice.js";
import type { AttemptOutcome } from "./forward/attempt-outcome.js";
import type { Call } from "./forward/call.js";
import type { ProxyEngine } from "./forward/proxy-engine.js";
import { CallHedge, type CallHedgeDeps } from "./hedge/call-hedge.js";
import { type MirrorDeps, MirroredCall } from "./mirror/mirrored-call.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import type { ServiceTraffic } from "./service-traffic.js";
import type { UpstreamPool } from "./upstream-pool.js";

export interface RouteEffectsDeps {
  readonly engine: ProxyEngine;
  readonly metrics: ProxyMetrics;
  /** Returns random numbers, uniform in [0, 1). */
  readonly draw: () => number;
  /** Connections to peer proxies. */
  readonly pool: UpstreamPool;
  /** Connections to peer proxies that only copies of calls use. */
  readonly copies: UpstreamPool;
}

/** Owns the calls and sends them. */
export interface EffectsOwner {
  /** Sends a call again. */
  carry(call: Call): void;
  /** See `CallOwner`. */
  attemptEnded(call: Call, endpoint: string, outcome: AttemptOutcome, tookMs: number): void;
}

export class RouteEffects {
  readonly #deps: RouteEffectsDeps;
  readonly #retry: CallRetryDeps<Call>;
  readonly #hedge: CallHedgeDeps;
  readonly #mirror: MirrorDeps;
  readonly #owner: EffectsOwner;

  constructor(deps: RouteEffectsDeps, choice: EndpointChoice, owner: EffectsOwner) {
    this.#deps = deps;
    this.#owner = owner;
    const { pool, copies, engine, metrics, draw } = deps;
    const shared = { deadlines: engine.deadlines, budget: engine.budget, nowMs: () => engine.loop.time() };
    this.#retry = {
      ...{ deadlines: engine.deadlines, nowMs: shared.nowMs, draw },
      carry: (call) => owner.carry(call),
      retried: (service) => metrics.retried(service),
      tooLong: (service) => metrics.tooLong(service),
    };
    this.#hedge = {
      ...shared,
      pool,
      choose: (call, tried) => choice.choose(call, tried),
      targetOf: (service, endpoint) => choice.targetOf(service, endpoint),
      endpointOf: (name) => choice.endpointOf(name),
      attemptEnded: (...ended) => owner.attemptEnded(...ended),
      hedged: (service, outcome) => metrics.hedged(service, outcome),
    };
    this.#mirror = {
      ...shared,
      pool: copies,
      choose: (service, mirror) => choice.chooseCopied(service, mirror, copies),
      targetOf: (service, endpoint) => choice.targetOf(service, endpoint),
      mirrored: (service, outcome) => metrics.mirrored(service, outcome),
    };
  }

  /** Returns the answer that a route's fault gives the call. undefined: the call goes on. */
  abort(rule: CompiledRouteRule | undefined, revision: number): Answer | undefined {
    const abort = rule?.fault?.abort;
    if (abort === undefined || this.#deps.draw() >= abort.share) return undefined;
    const message = `a fault that policy makes on purpose (route ${rule?.name})`;
    return { code: abort.code, message, revision, decision: undefined, reason: "fault" };
  }

  /** Attaches to a call the rule's retry, hedge and mirror. They act while the call is open. */
  attach(call: Call, { retry, hedge, mirror }: CompiledRouteRule): void {
    const { traffic } = call;
    if (traffic === null) return;
    if (retry !== undefined) call.retry = new CallRetry(retry, this.#retry, call, traffic);
    else if (hedge !== undefined) call.retry = this.#hedgeOf(hedge, call, traffic);
    if (mirror !== undefined && this.#deps.draw() < mirror.share)
      call.observe(new MirroredCall(this.#mirror, call, traffic, mirror));
  }

  #hedgeOf(policy: Hedge, call: Call, traffic: ServiceTraffic): CallHedge {
    return new CallHedge(policy, this.#hedge, call, traffic, () => this.#owner.carry(call));
  }
}
