import type { Verdict } from "../../../core/decision/decision-record.js";
import type { FieldBlock } from "../../http2/field-block.js";
import type { EvaluatedPolicy } from "../../ports.js";
import type { AttemptOutcome } from "./attempt-outcome.js";
import type { CallFacts } from "./call-facts.js";

/**
 * Observes one call. `Call.observe` attaches it when the call begins. A subclass overrides the events that it needs.
 * Arguments are valid only while a method runs and must not be changed, and no method may throw.
 */
export class CallObserver {
  /** The observer that was attached before this one. Only `Call` uses the link. */
  before: CallObserver | null = null;

  /**
   * `policy` judged the call, at its start, or again while open if it is then refused (I10). Outbound calls are
   * "routed" even if no endpoint is there. `decision`: the id of the decision, if it has one.
   */
  judged(call: CallFacts, verdict: Verdict, policy: EvaluatedPolicy, decision: string | undefined): void {
    this.before?.judged(call, verdict, policy, decision);
  }

  /** Attempt number `call.attempts` was sent to `endpoint`, as the pool names it. */
  attemptStarted(call: CallFacts, endpoint: string): void {
    this.before?.attemptStarted(call, endpoint);
  }

  /** An attempt at `endpoint` ended. A hedged call may have several open attempts, each at another endpoint. */
  attemptEnded(call: CallFacts, outcome: AttemptOutcome, endpoint: string): void {
    this.before?.attemptEnded(call, outcome, endpoint);
  }

  /** The caller gets the head of the upstream's response, `fields`. Not called if the response has no messages. */
  responded(call: CallFacts, fields: FieldBlock): void {
    this.before?.responded(call, fields);
  }

  /** Bytes of messages, `bytes[start, end)`, arrived from the caller or from the upstream. */
  data(call: CallFacts, fromCaller: boolean, bytes: Uint8Array, start: number, end: number): void {
    this.before?.data(call, fromCaller, bytes, start, end);
  }

  /** The caller has sent all of the request; after its last bytes. Not called if the request has no messages. */
  requestEnded(call: CallFacts): void {
    this.before?.requestEnded(call);
  }

  /** The call is over. `call` has its status, its duration, and the reason if the proxy answered itself. */
  ended(call: CallFacts): void {
    this.before?.ended(call);
  }
}
