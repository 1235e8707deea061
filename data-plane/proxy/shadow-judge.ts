/** Lets a candidate policy judge calls that the active revision has judged. It never changes the outcome of a call. */
import { status } from "@grpc/grpc-js";
import { isInShare } from "../../core/decision/decision-record.js";
import { isDirectRead, notDirectRule } from "../../core/journal/direct-reads.js";
import { arrivingMethod } from "../../core/policy/arriving-method.js";
import type { EvaluatedPolicy, ShadowPolicy } from "../ports.js";
import type { Answer } from "./answer.js";
import type { CallRecorder } from "./call-recorder.js";
import type { OpenCall } from "./open-calls.js";
import type { ShadowOutcome, ShadowTally } from "./shadow-tally.js";

export interface ShadowJudgeDeps {
  readonly recorder: CallRecorder;
  readonly tally: ShadowTally;
}

export class ShadowJudge {
  readonly #deps: ShadowJudgeDeps;
  readonly #service: string;

  /** `service`: the service whose policy judges. */
  constructor(deps: ShadowJudgeDeps, service: string) {
    this.#deps = deps;
    this.#service = service;
  }

  /**
   * Lets the candidate judge the call. `answer`: the active policy's refusal; undefined: it allowed the call. Never
   * fails.
   */
  judge(call: OpenCall, answer: Answer | undefined, { policy, share }: ShadowPolicy): void {
    const { recorder, tally } = this.#deps;
    try {
      if (share < 1 && !isInShare(recorder.draw(), share)) return;
      tally.count(policy, this.#compare(call, answer, policy), call.caller, call.method);
    } catch {
      tally.count(policy, "error", call.caller, call.method);
    }
  }

  #compare(call: OpenCall, answer: Answer | undefined, policy: EvaluatedPolicy): ShadowOutcome {
    const { caller, inputs } = call;
    const unit = policy.unit(this.#service);
    // the candidate's routes would have sent the call here under the method that it is judged by
    const called = call.calledMethod ?? call.method;
    const method = arrivingMethod(unit, called, (name) => inputs.header(name), caller);
    const isRefused = call.reader !== undefined && !isDirectRead(unit, method);
    if (!isRefused && unit?.readsToken(caller, method) === true && call.claims === undefined) {
      if (answer?.code === status.UNAUTHENTICATED) return "same"; // the candidate would judge the same token
      if (inputs.header("authorization") !== undefined) return "error"; // the token was not verified
    }
    const decision = isRefused ? { allow: false, rule: notDirectRule } : unit?.evaluateCall(caller, method, inputs);
    const allows = decision?.allow === true;
    if (allows === (answer === undefined)) return "same";
    const verdict = allows ? "allowed" : "denied";
    const { isMirrored, reader } = call;
    const judged = { caller, method, calledMethod: method === called ? undefined : called, inputs, isMirrored, reader };
    this.#deps.recorder.shadowed(judged, this.#service, { verdict, rule: decision?.rule ?? "default-deny", policy });
    return allows ? "would_allow" : "would_deny";
  }
}
