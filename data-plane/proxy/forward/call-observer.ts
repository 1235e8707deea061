import type { Verdict } from "../../../core/decision/decision-record.js";
import type { FieldBlock } from "../../http2/field-block.js";
import type { EvaluatedPolicy } from "../../ports.js";
import type { AttemptOutcome } from "./attempt-outcome.js";
import type { CallFacts } from "./call-facts.js";

/**
 * Hears what becomes of one call; `Call.observe` attaches it as the call begins. Subclasses say what they want to hear. What
 * they are given is valid during the call only, is not theirs to change, and no method may throw.
 */
export class CallObserver {
  /** The observer that was attached before. For `Call` alone. */
  before: CallObserver | null = null;

  /**
   * `policy` judged the call: at its start, and open calls again whenever they are refused afterwards (I10). Outbound calls
   * are "routed" even if no endpoint is there. `decision`: its id, where it has one.
   */
  judged(call: CallFacts, verdict: Verdict, policy: EvaluatedPolicy, decision: string | undefined): void {
    this.before?.judged(call, verdict, policy, decision);
  }

  /** Attempt number `call.attempts` was sent to `endpoint`, as the pool names it. */
  attemptStarted(call: CallFacts, endpoint: string): void {
    this.before?.attemptStarted(call, endpoint);
  }

  attemptEnded(call: CallFacts, outcome: AttemptOutcome): void {
    this.before?.attemptEnded(call, outcome);
  }

  /** The caller gets the head of the upstream's response: `fields`. Not called where that is its end as well. */
  responded(call: CallFacts, fields: FieldBlock): void {
    this.before?.responded(call, fields);
  }

  /** Bytes of messages came: `bytes[start, end)`, from the caller or from the upstream. */
  data(call: CallFacts, fromCaller: boolean, bytes: Uint8Array, start: number, end: number): void {
    this.before?.data(call, fromCaller, bytes, start, end);
  }

  /** The call is over: `call` says its status, the reason if the proxy answered itself, and how long it took. */
  ended(call: CallFacts): void {
    this.before?.ended(call);
  }
}

const prefixBytes = 5;

/** Counts one direction's gRPC messages that are whole, and their bytes with those of their prefixes. */
export class MessageTally {
  messages = 0;
  bytes = 0;
  /** Bytes of the prefix under way, what they say, and bytes of the message that are to come. */
  #prefix = 0;
  #length = 0;
  #left = 0;

  add(bytes: Uint8Array, start: number, end: number): void {
    this.bytes += end - start;
    let at = start;
    while (at < end) {
      if (this.#prefix < prefixBytes) {
        if (this.#prefix++ > 0) this.#length = this.#length * 256 + (bytes[at] as number);
        at++;
        if (this.#prefix < prefixBytes) continue;
        this.#left = this.#length;
        this.#length = 0;
      } else {
        const taken = Math.min(this.#left, end - at);
        this.#left -= taken;
        at += taken;
      }
      if (this.#left > 0) continue;
      this.messages++;
      this.#prefix = 0;
    }
  }
}
