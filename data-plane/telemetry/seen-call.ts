import type { AttemptOutcome } from "../proxy/forward/attempt-outcome.js";
import type { CallFacts } from "../proxy/forward/call-facts.js";
import { CallObserver } from "../proxy/forward/call-observer.js";

const attemptsKept = 16;

export interface SeenAttempt {
  readonly endpoint: string;
  /** When the event happened, in milliseconds since the call began. */
  readonly atMs: number;
  outcome: AttemptOutcome | undefined;
}

/** The notes about a call that is traced or logged. */
export class SeenCall extends CallObserver {
  /** The trace of the call, or undefined if it has none; 32 hexadecimal digits. */
  readonly traceId: string;
  /** The span of this proxy's part of the call, 16 hexadecimal digits. "": no span is created. */
  readonly spanId: string;
  /** The span that the call came from; "" if the trace begins here. */
  readonly parentId: string;
  readonly isLogged: boolean;
  readonly attempts: SeenAttempt[] = [];
  readonly #nowMs: () => number;

  constructor(
    ids: { readonly traceId: string; readonly spanId: string; readonly parentId: string },
    isLogged: boolean,
    nowMs: () => number,
  ) {
    super();
    this.traceId = ids.traceId;
    this.spanId = ids.spanId;
    this.parentId = ids.parentId;
    this.isLogged = isLogged;
    this.#nowMs = nowMs;
  }

  override attemptStarted(call: CallFacts, endpoint: string): void {
    if (this.attempts.length < attemptsKept)
      this.attempts.push({ endpoint, atMs: this.#nowMs() - call.startedMs, outcome: undefined });
    super.attemptStarted(call, endpoint);
  }

  override attemptEnded(call: CallFacts, outcome: AttemptOutcome, endpoint: string): void {
    // A hedged call may have several open attempts, each at another endpoint.
    const ended = this.attempts.findLast((one) => one.outcome === undefined && one.endpoint === endpoint);
    if (ended !== undefined) ended.outcome = outcome;
    super.attemptEnded(call, outcome, endpoint);
  }
}
