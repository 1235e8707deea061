/**
 * Judges an inbound call before the application sees it, in steps: a revision to judge by, a certificate that is still
 * valid, a valid token where policy reads one, authorization, rate limits. The first step that refuses answers the
 * call.
 */
import { status } from "@grpc/grpc-js";
import { messageOf } from "../../core/errors.js";
import { isDirectRead, notDirectRule } from "../../core/journal/direct-reads.js";
import { Limiter, type OpenBudgets } from "../../core/limit/limiter.js";
import type { Decision } from "../../core/policy/compile.js";
import { TokenProblem, type VerifiedToken } from "../../core/token/verify-token.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { PreparedField } from "../http2/prepared-field.js";
import type { CallPolicy, EvaluatedPolicy, TrustView } from "../ports.js";
import {
  type Answer,
  deniedAnswer,
  limitedAnswer,
  malformedReplayAnswer,
  notDirectAnswer,
  tokenAnswer,
  unavailableAnswer,
} from "./answer.js";
import type { CallRecorder } from "./call-recorder.js";
import type { Call } from "./forward/call.js";
import type { Peer } from "./forward/listener.js";
import type { Judgement } from "./judged-call.js";
import type { OpenCall } from "./open-calls.js";
import { ShadowJudge } from "./shadow-judge.js";
import type { ShadowTally } from "./shadow-tally.js";
import { TokenCheck } from "./token-check.js";

export interface InboundJudgeDeps {
  readonly policy: CallPolicy;
  readonly trust: Pick<TrustView, "issuers">;
  readonly clock: Clock;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  /** Opens the budgets of shared limits. undefined: every limit counts this proxy alone. */
  readonly openBudgets?: OpenBudgets | undefined;
  /** Counts the verdicts of a shadow candidate. undefined: no candidate is evaluated. */
  readonly tally?: ShadowTally | undefined;
}

export class InboundJudge {
  readonly #deps: InboundJudgeDeps;
  readonly #service: string;
  readonly #limiter: Limiter;
  readonly #tokens: TokenCheck;
  readonly #shadow: ShadowJudge | undefined;

  /** `service` is the service whose policy judges. */
  constructor(deps: InboundJudgeDeps, service: string) {
    this.#deps = deps;
    this.#service = service;
    this.#limiter = new Limiter(deps.openBudgets);
    this.#tokens = new TokenCheck(deps.trust, service);
    const { recorder, tally } = deps;
    this.#shadow = tally && new ShadowJudge({ recorder, tally }, service);
  }

  /** Returns the answer that refuses the call, or undefined if it is allowed. */
  judge(call: Call, peer: Peer): Answer | undefined {
    const { current } = this.#deps.policy;
    if (current === undefined) {
      return unavailableAnswer("no-revision", "this proxy has no revision to judge by", undefined);
    }
    if (call.replay !== undefined) {
      // a recorded decision would be decided again without knowing of the replay
      const refused = this.#judgeCertificate(call, peer, current) ?? this.#judgeReplay(call, current, false);
      if (refused === undefined) call.judged("allowed", current, undefined);
      return refused;
    }
    const refusal =
      this.#judgeCertificate(call, peer, current) ?? this.#judgeAccess(call, current) ?? this.#judgeRate(call, current);
    if (refusal === undefined)
      call.judged("allowed", current, this.#deps.recorder.allowed(call, this.#service, current));
    return refusal;
  }

  /** Authorizes the call, and lets a shadow candidate judge it too. */
  #judgeAccess(call: Call, current: EvaluatedPolicy): Answer | undefined {
    const answer = this.#judgeCall(call, current, false);
    const { shadow } = this.#deps.policy;
    if (shadow !== undefined) this.#shadow?.judge(call, answer, shadow);
    return answer;
  }

  /**
   * Returns the answer that ends an open call which `policy` and trust now refuse, or undefined if it continues. I10.
   */
  judgeOpen(call: OpenCall, policy: EvaluatedPolicy): Answer | undefined {
    return call.replay === undefined ? this.#judgeCall(call, policy, true) : this.#judgeReplay(call, policy, true);
  }

  /** Refuses a replay unless the service's Journal names the caller as replayer and the call is a journaled write. */
  #judgeReplay(call: OpenCall, policy: EvaluatedPolicy, closed: boolean): Answer | undefined {
    const { replay, caller, method } = call;
    if (replay === "malformed") return malformedReplayAnswer(policy.revision);
    const journal = policy.unit(this.#service)?.journal;
    if (journal?.mayReplay(caller) === true && journal.isWrite(method)) return undefined;
    return this.#deny(call, policy, undefined, closed);
  }

  /** Returns the claims that the application gets of the call's token, or undefined. */
  claimsField({ claims }: OpenCall): PreparedField | undefined {
    return claims === undefined ? undefined : this.#tokens.claimsField(claims);
  }

  #judgeCertificate(call: Call, peer: Peer, { revision }: EvaluatedPolicy): Answer | undefined {
    if (call.nowMs < peer.notAfterMs + 1000) return undefined;
    const message = "the client certificate has expired";
    return { code: status.UNAUTHENTICATED, message, revision, decision: undefined, reason: "certificate" };
  }

  #judgeCall(call: OpenCall, policy: EvaluatedPolicy, closed: boolean): Answer | undefined {
    if (call.reader !== undefined && !isDirectRead(policy.unit(this.#service), call.method))
      return this.#refuseDirect(call, policy, closed);
    const problem = this.#readToken(call, policy);
    if (problem !== undefined) return this.#refuseToken(call, policy, problem.reason, closed);
    const decision = this.#evaluate(call, policy);
    if (decision === "token") return this.#refuseToken(call, policy, undefined, closed);
    return decision?.allow === true ? undefined : this.#deny(call, policy, decision, closed);
  }

  /** Verifies the token as of the start of its call, and only where a rule depends on it. */
  #readToken(call: OpenCall, policy: EvaluatedPolicy): TokenProblem | undefined {
    const unit = policy.unit(this.#service);
    const isRead = unit?.hasTokenRules === true && unit.readsToken(call.caller, call.method);
    setToken(call, undefined);
    if (!isRead && unit?.hasTokenLimits !== true && !this.#tokens.isForwarding(policy)) return undefined;
    const found = this.#tokens.check(call.inputs.header("authorization"), policy, call.inputs.nowMs);
    if (found instanceof TokenProblem) return found;
    setToken(call, found);
    return undefined;
  }

  /** Refuses a call by its token. `reason`: why the token is not valid; undefined: the call has no token. */
  #refuseToken(call: OpenCall, policy: EvaluatedPolicy, reason: string | undefined, closed: boolean): Answer {
    const why = reason ?? "there is none";
    const judgement = { verdict: "unauthenticated", rule: "token", tokenProblem: why, policy, closed } as const;
    const id = this.#refuse(call, judgement, "refused a token", { reason: why });
    return tokenAnswer(id, policy.revision, reason === undefined);
  }

  /** The caller has a certificate that is good for reads alone, of services whose Journal lets them go direct. */
  #refuseDirect(call: OpenCall, policy: EvaluatedPolicy, closed: boolean): Answer {
    const judgement = { verdict: "denied", rule: notDirectRule, policy, closed } as const;
    const id = this.#refuse(call, judgement, "refused a direct call", { rule: notDirectRule, proxy: call.reader });
    return notDirectAnswer(id, policy.revision);
  }

  #deny(call: OpenCall, policy: EvaluatedPolicy, decision: Decision | undefined, closed: boolean): Answer {
    const rule = decision?.rule ?? "default-deny";
    const id = this.#refuse(call, { verdict: "denied", rule, policy, closed }, "denied", { rule });
    return deniedAnswer(id, policy.revision);
  }

  /** Records a refusal, logs it and reports it to observers. Returns the id of the decision. */
  #refuse(call: OpenCall, judgement: Judgement, message: string, why: Readonly<Record<string, unknown>>): string {
    const { verdict, policy } = judgement;
    const { caller, method } = call;
    const { id, isRecorded } = this.#deps.recorder.refused(call, this.#service, judgement);
    call.judged(verdict, policy, id);
    const { revision } = policy;
    if (!isRecorded) return id;
    const trace = call.inputs.header("traceparent")?.slice(3, 35);
    this.#deps.log.info(message, { decision: id, caller, method, ...why, revision, ...(trace && { trace }) });
    return id;
  }

  /** Checks rate limits last, so that a call that is refused anyway takes no tokens. */
  #judgeRate(call: Call, current: EvaluatedPolicy): Answer | undefined {
    const unit = current.unit(this.#service);
    if (unit === undefined) return undefined; // a service without a unit allows nothing
    this.#limiter.adopt(unit.rateLimits);
    const refusal = this.#limiter.check(call, call.startedMs);
    if (refusal === undefined) return undefined;
    const { limit, waitMs } = refusal;
    const limits = [{ name: limit, passed: false, pushbackMs: waitMs }];
    const judgement = { verdict: "limited", rule: limit, policy: current, limits } as const;
    const id = this.#refuse(call, judgement, "over a rate limit", { limit, waitMs });
    return limitedAnswer(id, current.revision, waitMs);
  }

  /**
   * Returns the decision, or "token" if the call has no token and one might allow it, or undefined if the evaluation
   * failed.
   */
  #evaluate({ caller, method, inputs, claims }: OpenCall, policy: EvaluatedPolicy): Decision | "token" | undefined {
    try {
      const unit = policy.unit(this.#service);
      const decision = unit?.evaluateCall(caller, method, inputs);
      if (decision?.allow !== false || claims !== undefined || unit?.hasTokenRules !== true) return decision;
      return unit.asksForToken(caller, method, inputs) ? "token" : decision;
    } catch (error) {
      this.#deps.log.error("the evaluation of a call failed: it is denied", { error: messageOf(error), method });
      return undefined; // I4: an evaluation that fails denies
    }
  }
}

function setToken(call: OpenCall, token: VerifiedToken | undefined): void {
  call.claims = token?.claims;
  call.tokenIssuer = token?.issuer;
}
