/**
 * What is asked of an inbound call before the application sees it, one step after the other: a revision to judge by,
 * a certificate that is still good, the authorization of policy, its rate limits. The first step that refuses answers the call.
 */
import { status } from "@grpc/grpc-js";
import { messageOf } from "../../core/errors.js";
import type { SpiffeId } from "../../core/identity.js";
import { Limiter, type OpenBudgets } from "../../core/limit/limiter.js";
import type { Decision } from "../../core/policy/compile.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { CallPolicy, EvaluatedPolicy } from "../ports.js";
import { type Answer, deniedAnswer, limitedAnswer, unavailableAnswer } from "./answer.js";
import type { CallRecorder } from "./call-recorder.js";
import type { Call } from "./forward/call.js";
import type { Peer } from "./forward/listener.js";
import type { OpenCall } from "./open-calls.js";

export interface InboundJudgeDeps {
  readonly policy: CallPolicy;
  readonly clock: Clock;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  /** Undefined: every limit is this proxy's own. */
  readonly openBudgets?: OpenBudgets | undefined;
}

export class InboundJudge {
  readonly #deps: InboundJudgeDeps;
  readonly #service: string;
  readonly #limiter: Limiter;

  /** `service`: the one whose policy judges. */
  constructor(deps: InboundJudgeDeps, service: string) {
    this.#deps = deps;
    this.#service = service;
    this.#limiter = new Limiter(deps.openBudgets);
  }

  /** The answer that refuses the call; undefined: it is allowed. */
  judge(call: Call, peer: Peer): Answer | undefined {
    const { current } = this.#deps.policy;
    if (current === undefined) {
      return unavailableAnswer("no-revision", "this proxy has no revision to judge by", undefined);
    }
    const refusal =
      this.#judgeCertificate(call, peer, current) ?? this.#judgeAccess(call, current) ?? this.#judgeRate(call, current);
    if (refusal === undefined) this.#deps.recorder.allowed(call, this.#service, current);
    return refusal;
  }

  /** The answer to an open call that `policy` refuses; undefined: it goes on. I10. */
  judgeOpen(call: OpenCall, policy: EvaluatedPolicy): Answer | undefined {
    const { caller, method, inputs } = call;
    const decision = this.#evaluate(caller, method, inputs, policy);
    return decision?.allow === true ? undefined : this.#deny(call, policy, decision, true);
  }

  #judgeCertificate(call: Call, peer: Peer, { revision }: EvaluatedPolicy): Answer | undefined {
    if (call.nowMs < peer.notAfterMs + 1000) return undefined;
    const message = "the client certificate has expired";
    return { code: status.UNAUTHENTICATED, message, revision, decision: undefined, reason: "certificate" };
  }

  #judgeAccess(call: Call, current: EvaluatedPolicy): Answer | undefined {
    const decision = this.#evaluate(call.caller, call.method, call, current);
    return decision?.allow === true ? undefined : this.#deny(call, current, decision, false);
  }

  #deny(call: OpenCall, policy: EvaluatedPolicy, decision: Decision | undefined, closed: boolean): Answer {
    const { caller, method } = call;
    const { revision } = policy;
    const rule = decision?.rule ?? "default-deny";
    const judgement = { verdict: "denied", rule, policy, closed } as const;
    const { id, isRecorded } = this.#deps.recorder.refused(call, this.#service, judgement);
    if (isRecorded) this.#deps.log.info("denied", { decision: id, caller, method, rule, revision });
    return deniedAnswer(id, revision);
  }

  /** Last, so that a call that is refused anyway costs nothing. */
  #judgeRate(call: Call, current: EvaluatedPolicy): Answer | undefined {
    const unit = current.unit(this.#service);
    if (unit === undefined) return undefined; // nothing without a unit is allowed
    this.#limiter.adopt(unit.rateLimits);
    const refusal = this.#limiter.check(call, call.startedMs);
    if (refusal === undefined) return undefined;
    const { revision } = current;
    const { limit, waitMs } = refusal;
    const limits = [{ name: limit, passed: false, pushbackMs: waitMs }];
    const judgement = { verdict: "limited", rule: limit, policy: current, limits } as const;
    const { id, isRecorded } = this.#deps.recorder.refused(call, this.#service, judgement);
    const { caller, method } = call;
    if (isRecorded) this.#deps.log.info("over a rate limit", { decision: id, caller, method, limit, revision, waitMs });
    return limitedAnswer(id, revision, waitMs);
  }

  #evaluate(caller: SpiffeId, method: string, inputs: CallInputs, policy: EvaluatedPolicy): Decision | undefined {
    try {
      return policy.unit(this.#service)?.evaluateCall(caller, method, inputs);
    } catch (error) {
      this.#deps.log.error("a decision failed", { error: messageOf(error), method });
      return undefined; // I4: an evaluation that fails denies
    }
  }
}
