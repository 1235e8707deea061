/** What the rule of a route does with its calls beside choosing where they go: faults, tries after failures, copies. */
import type { CompiledRetry, CompiledRouteRule } from "../../core/policy/compiled-route.js";
import type { Answer } from "./answer.js";
import { CallRetry } from "./call-retry.js";
import type { EndpointChoice } from "./endpoint-choice.js";
import type { Call } from "./forward/call.js";
import type { ProxyEngine } from "./forward/proxy-engine.js";
import { type MirrorDeps, MirroredCall } from "./mirror/mirrored-call.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import type { UpstreamPool } from "./upstream-pool.js";

export interface RouteEffectsDeps {
  readonly engine: ProxyEngine;
  readonly metrics: ProxyMetrics;
  /** Returns random numbers, uniform in [0, 1). */
  readonly draw: () => number;
  /** Connections to peer proxies that only copies of calls use. */
  readonly copies: UpstreamPool;
}

export class RouteEffects {
  readonly #deps: RouteEffectsDeps;
  readonly #mirror: MirrorDeps;
  readonly #carry: (call: Call) => void;

  /** `carry` sends a call again. */
  constructor(deps: RouteEffectsDeps, choice: EndpointChoice, carry: (call: Call) => void) {
    this.#deps = deps;
    this.#carry = carry;
    const { copies, engine, metrics } = deps;
    this.#mirror = {
      ...{ pool: copies, deadlines: engine.deadlines, budget: engine.budget, nowMs: () => engine.loop.time() },
      choose: (service, mirror) => choice.chooseCopied(service, mirror, copies),
      targetOf: (service, endpoint) => choice.targetOf(service, endpoint),
      mirrored: (service, outcome) => metrics.mirrored(service, outcome),
    };
  }

  /** Returns the answer to a call that the route's fault is for; undefined: it goes on. */
  abort(rule: CompiledRouteRule | undefined, revision: number): Answer | undefined {
    const abort = rule?.fault?.abort;
    if (abort === undefined || this.#deps.draw() >= abort.share) return undefined;
    const message = `a fault that policy makes on purpose (route ${rule?.name})`;
    return { code: abort.code, message, revision, decision: undefined, reason: "fault" };
  }

  /** Attaches to a call what its rule does while the call is open. */
  attach(call: Call, { retry, mirror }: CompiledRouteRule): void {
    const { traffic } = call;
    if (retry !== undefined) this.#retry(call, retry);
    if (mirror !== undefined && traffic !== null && this.#deps.draw() < mirror.share)
      call.observe(new MirroredCall(this.#mirror, call, traffic, mirror));
  }

  #retry(call: Call, policy: CompiledRetry): void {
    const { engine, draw, metrics } = this.#deps;
    if (call.traffic === null) return;
    const deps = {
      ...{ deadlines: engine.deadlines, draw, nowMs: () => engine.loop.time() },
      retried: () => metrics.retried(call.service),
    };
    call.retry = new CallRetry(policy, deps, call, call.traffic, () => this.#carry(call));
  }
}
