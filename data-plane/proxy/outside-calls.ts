/**
 * Judges calls that leave the mesh. No proxy at the other end can judge them, so the caller's own proxy does here what
 * a destination's proxy does for a service, by the policy of the Egress.
 */
import type { CompiledUnit } from "../../core/policy/compile.js";
import type { Clock } from "../../runtime/clock.js";
import type { CallIdentityView, EvaluatedPolicy, OutsideView, OutsideWay, TrustView } from "../ports.js";
import { type Answer, unavailableAnswer } from "./answer.js";
import type { Call } from "./forward/call.js";
import type { Peer } from "./forward/listener.js";
import { InboundJudge, type InboundJudgeDeps } from "./inbound-judge.js";
import { judgeOpenCalls } from "./judge-again.js";
import { OpenCalls } from "./open-calls.js";
import type { ProxyMetrics } from "./proxy-metrics.js";

export interface OutsideCallsDeps extends InboundJudgeDeps {
  readonly identity: CallIdentityView;
  readonly trust: Pick<TrustView, "issuers" | "onChange">;
  readonly metrics: ProxyMetrics;
  readonly clock: Clock;
}

/** The most egresses whose judges are kept. Beyond that, judges are created again when needed. */
const egressesMax = 256;

export class OutsideCalls {
  readonly #view: OutsideView | undefined;
  readonly #deps: OutsideCallsDeps | undefined;
  readonly #judges = new Map<string, InboundJudge>();
  /** The calls that were allowed and are not over. */
  readonly open = new OpenCalls();
  readonly #stops: (() => void)[];

  /** Without `view` and `deps` no call leaves the mesh. */
  constructor(view: OutsideView | undefined, deps: OutsideCallsDeps | undefined) {
    this.#view = view;
    this.#deps = deps;
    this.#stops = [
      deps?.policy.onSwitch((policy) => this.#judgeOpen(policy)),
      deps?.trust.onChange(() => {
        if (deps.policy.current !== undefined) this.#judgeOpen(deps.policy.current);
      }),
    ].filter((stop) => stop !== undefined);
  }

  /**
   * Whether the policy is here and, if it is about an egress, the egress's endpoints too: operators may move the
   * egress.
   */
  holds(unit: CompiledUnit | undefined): boolean {
    return unit !== undefined && !(unit.isOutside && this.#view?.isPending(unit.name) === true);
  }

  /** Returns undefined if nobody has said where the egress is. */
  find(name: string): OutsideWay | undefined {
    return this.#view?.find(name);
  }

  /** Returns the answer to a call that may not leave. What leaves through a gateway is judged there. */
  refuse(call: Call, way: OutsideWay | undefined, revision: number): Answer | undefined {
    if (way === undefined || this.#deps === undefined) return this.none(call.service, revision);
    if (!way.isDirect) return undefined;
    const { spiffeId, notAfterMs } = this.#deps.identity.current;
    return this.judge(call, { spiffeId, notAfterMs, sourceAddress: undefined });
  }

  /** Judges a call of `peer` by the policy of the Egress. Returns the answer that refuses the call, or undefined. */
  judge(call: Call, peer: Peer): Answer | undefined {
    const deps = this.#deps;
    if (deps === undefined) return this.none(call.service, undefined);
    call.nowMs = deps.clock.nowMs();
    const refusal = this.#judgeOf(deps, call.service).judge(call, peer);
    if (refusal === undefined) this.open.add(call);
    return refusal;
  }

  /** Returns the answer to a call of an egress that has no endpoint. */
  none(service: string, revision: number | undefined): Answer {
    const why = this.#view?.whyNone(service) ?? "";
    return unavailableAnswer("no-endpoint", why === "" ? `${service} has no healthy address` : why, revision);
  }

  ended(call: Call): void {
    this.open.remove(call);
  }

  close(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #judgeOf(deps: OutsideCallsDeps, service: string): InboundJudge {
    const known = this.#judges.get(service);
    if (known !== undefined) return known;
    if (this.#judges.size >= egressesMax) this.#judges.clear();
    const made = new InboundJudge(deps, service);
    this.#judges.set(service, made);
    return made;
  }

  /** Judges open calls again by a new policy (I10). */
  #judgeOpen(policy: EvaluatedPolicy): void {
    const deps = this.#deps;
    if (deps === undefined) return;
    judgeOpenCalls(this.open, deps, policy, (call) => this.#judgeOf(deps, call.service).judgeOpen(call, policy));
  }
}
