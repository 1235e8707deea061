/**
 * Judges whether a call of an outside client may come in: its method must be exposed, it must bring the required proof
 * of identity, and limits must allow it.
 */

import type { EdgeProtocol } from "../../core/kinds/gateway/gateway.js";
import type { CompiledListener } from "../../core/policy/compiled-gateway.js";
import { TokenProblem } from "../../core/token/verify-token.js";
import { headerNames } from "../../core/wire/headers.js";
import type { EvaluatedPolicy, TrustView } from "../ports.js";
import type { Answer } from "../proxy/answer.js";
import type { Call } from "../proxy/forward/call.js";
import type { OpenCall } from "../proxy/open-calls.js";
import { TokenCheck } from "../proxy/token-check.js";
import { notExposed, tooMuch, tooOften, unauthenticated } from "./edge-answers.js";
import type { ByteMeter, EdgeLimiter } from "./edge-limits.js";
import type { EdgeRecorder, EdgeRefusal } from "./edge-recorder.js";

/** Why a call is refused, and what the client is told. */
interface Refused extends EdgeRefusal {
  readonly message?: string;
}

export class EdgeJudge {
  readonly #limiter: EdgeLimiter;
  readonly #recorder: EdgeRecorder;
  readonly #tokens: TokenCheck;
  /** The listener; undefined: policy has none of this name. */
  listener: CompiledListener | undefined;

  constructor(limiter: EdgeLimiter, recorder: EdgeRecorder, trust: Pick<TrustView, "issuers">) {
    this.#limiter = limiter;
    this.#recorder = recorder;
    this.#tokens = new TokenCheck(trust, "");
  }

  /**
   * Returns the answer to a call that may not come in, or undefined. `address`: the client's; `service`: the service
   * that would get the call; "": none.
   */
  judge(
    call: Call,
    service: string,
    authorization: string | undefined,
    address: string,
    protocol: EdgeProtocol,
    policy: EvaluatedPolicy,
  ): Answer | undefined {
    const limiter = this.#limiter;
    const nowMs = call.startedMs;
    const waitMs = limiter.waitOfCall(address, nowMs);
    if (waitMs > 0) {
      const part = "limits.callsPerAddress";
      return this.#answer(call, address, { part, verdict: "limited", protocol }, policy, waitMs, false);
    }
    const bytesWaitMs = limiter.waitOfBytes(address, nowMs);
    if (bytesWaitMs > 0) {
      const part = "limits.kibPerAddress";
      return this.#answer(call, address, { part, verdict: "limited", protocol }, policy, bytesWaitMs, false);
    }
    const refused = this.#find(call, service, authorization, policy, protocol);
    if (refused !== undefined) return this.#answer(call, address, refused, policy, 0, false);
    if (this.listener?.listener.callers.token === undefined) return undefined;
    return this.#judgeToken(call, authorization ?? "", address, protocol, policy);
  }

  /** Returns an answer if a valid token exceeds its limit. */
  #judgeToken(
    call: Call,
    authorization: string,
    address: string,
    protocol: EdgeProtocol,
    policy: EvaluatedPolicy,
  ): Answer | undefined {
    const { tokenIssuer: issuer, startedMs } = call;
    const callsMs = this.#limiter.waitOfToken(authorization, address, startedMs);
    const waitMs = callsMs || this.#limiter.waitOfTokenBytes(authorization, startedMs);
    if (waitMs === 0) return undefined;
    const part = callsMs > 0 ? "limits.callsPerToken" : "limits.kibPerToken";
    return this.#answer(call, address, { part, verdict: "limited", protocol, issuer }, policy, waitMs, false);
  }

  /** Returns the meter for the bytes of an admitted call; undefined: they are not limited. */
  meterOf(call: OpenCall, address: string): ByteMeter | undefined {
    const hasToken = this.listener?.listener.callers.token !== undefined;
    return this.#limiter.meter(address, hasToken ? call.inputs.header("authorization") : undefined);
  }

  /** Returns the answer that ends an open call, because its client owes more than the limit brings in a period. */
  endOverBytes(
    call: OpenCall,
    address: string,
    limit: "kibPerAddress" | "kibPerToken",
    protocol: EdgeProtocol,
    policy: EvaluatedPolicy,
    nowMs: number,
  ): Answer {
    const waitMs =
      limit === "kibPerAddress"
        ? this.#limiter.waitOfBytes(address, nowMs)
        : this.#limiter.waitOfTokenBytes(call.inputs.header("authorization") ?? "", nowMs);
    const { tokenIssuer: issuer } = call;
    return this.#answer(
      call,
      address,
      { part: `limits.${limit}`, verdict: "limited", protocol, issuer },
      policy,
      waitMs,
      true,
    );
  }

  /**
   * I10: returns the answer that ends an open call if its method is no longer exposed for its service, or its proof is
   * no longer the required one.
   */
  judgeOpen(call: OpenCall, protocol: EdgeProtocol, policy: EvaluatedPolicy): Answer | undefined {
    const isSame = this.listener?.find(call.method) === call.service;
    const authorization = call.inputs.header("authorization");
    const refused = this.#find(call, isSame ? call.service : "", authorization, policy, protocol);
    return refused && this.#answer(call, call.inputs.sourceAddress ?? "", refused, policy, 0, true);
  }

  #find(
    call: OpenCall,
    service: string,
    authorization: string | undefined,
    policy: EvaluatedPolicy,
    protocol: EdgeProtocol,
  ): Refused | undefined {
    const { inputs } = call;
    const { listener } = this.listener ?? {};
    if (listener === undefined || service === "") return { part: "expose", verdict: "denied", protocol };
    if (!listener.protocols.includes(protocol)) return { part: "protocols", verdict: "denied", protocol };
    const { token: issuers, certificate } = listener.callers;
    const lacks = { verdict: "unauthenticated", protocol } as const;
    if (certificate === true && inputs.header(headerNames.client) === undefined)
      return { ...lacks, part: "callers.certificate", message: "a client certificate is asked for" };
    if (issuers === undefined) return undefined;
    const found = this.#tokens.check(authorization, policy, inputs.nowMs);
    if (found !== undefined && !(found instanceof TokenProblem) && issuers.includes(found.issuer)) {
      call.tokenIssuer = found.issuer;
      return undefined;
    }
    const part = "callers.token";
    if (found === undefined) return { ...lacks, part, message: "a token is asked for", tokenProblem: "there is none" };
    const message = "the token is not accepted";
    if (found instanceof TokenProblem) return { ...lacks, part, message, tokenProblem: found.reason };
    const { issuer } = found;
    return { ...lacks, part, message, issuer, tokenProblem: `it is of ${issuer}, which is not one of the listener's` };
  }

  #answer(
    call: OpenCall,
    address: string,
    refused: Refused,
    policy: EvaluatedPolicy,
    waitMs: number,
    closed: boolean,
  ): Answer {
    const decision = this.#recorder.refused(call, address, refused, policy, closed);
    const by = { decision, revision: policy.revision };
    switch (refused.verdict) {
      case "denied":
        return notExposed(call.method, by);
      case "limited":
        return refused.part.startsWith("limits.kib") ? tooMuch(waitMs, by) : tooOften(waitMs, by);
      case "unauthenticated":
        return unauthenticated(refused.part === "callers.token" ? "token" : "certificate", refused.message ?? "", by);
    }
  }
}
