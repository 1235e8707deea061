/** Sends one call again after failures, as its route's policy says (gRFC A6). */
import { decideRetry, parsePushback } from "../../core/balance/retry-decision.js";
import type { CompiledRetry } from "../../core/policy/compiled-route.js";
import type { Retrying } from "./forward/call-owner.js";
import type { DeadlineWheel, Timed } from "./forward/deadline-wheel.js";
import type { ServiceTraffic } from "./service-traffic.js";

/** The part of a call that its retries use. */
export interface RetriedCall {
  readonly service: string;
  readonly dueAtMs: number;
  waiting: { leave(): void } | null;
  /** Called when an attempt took longer than its timeout. */
  tryTimedOut(): void;
}

/** What all retries of a proxy's calls share. None of it is created per call. */
export interface CallRetryDeps<Retried extends RetriedCall> {
  readonly deadlines: DeadlineWheel;
  nowMs(): number;
  /** Returns a number that is uniform in [0, 1). */
  draw(): number;
  /** Sends a call again. */
  carry(call: Retried): void;
  /** Called when a call to this service is tried again. */
  retried(service: string): void;
  /** Called when a call to this service cannot be tried again because its messages are longer than what is kept. */
  tooLong(service: string): void;
}

export class CallRetry<Retried extends RetriedCall> implements Retrying, Timed {
  tries = 1;
  readonly #policy: CompiledRetry;
  readonly #deps: CallRetryDeps<Retried>;
  readonly #call: Retried;
  readonly #traffic: ServiceTraffic;
  #waits = false;
  dueMs = 0;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelBefore: Timed | null = null;

  constructor(policy: CompiledRetry, deps: CallRetryDeps<Retried>, call: Retried, traffic: ServiceTraffic) {
    this.#policy = policy;
    this.#deps = deps;
    this.#call = call;
    this.#traffic = traffic;
  }

  began(): void {
    if (this.#policy.perTryTimeoutMs > 0) this.#due(this.#policy.perTryTimeoutMs);
  }

  afterMs(code: number, pushback: string | undefined): number {
    if (!this.#policy.on.has(code)) return -1; // nearly every call: it was answered
    const { nowMs, draw } = this.#deps;
    const failed = { code, tries: this.tries, pushbackMs: parsePushback(pushback) };
    const decision = decideRetry(this.#policy, failed, draw());
    if (!decision.again) return -1;
    const { dueAtMs } = this.#call;
    const isTooLate = dueAtMs >= 0 && nowMs() + decision.waitMs >= dueAtMs;
    return isTooLate || !this.#traffic.budget.take(nowMs()) ? -1 : decision.waitMs;
  }

  notKept(code: number): false {
    if (this.tries < this.#policy.attempts && this.#policy.on.has(code)) this.#deps.tooLong(this.#call.service);
    return false;
  }

  wait(waitMs: number): void {
    this.tries++;
    this.#waits = true;
    this.#call.waiting = this;
    this.#deps.retried(this.#call.service);
    this.#due(waitMs);
  }

  passed(): void {}

  takesOver(): boolean {
    return false;
  }

  settle(): void {
    this.stop();
  }

  stop(): void {
    if (!this.#waits) this.#deps.deadlines.remove(this);
  }

  leave(): void {
    this.#waits = false;
    this.#deps.deadlines.remove(this);
  }

  onDue(): void {
    if (!this.#waits) {
      this.#call.tryTimedOut();
      return;
    }
    this.#waits = false;
    this.#call.waiting = null;
    this.#deps.carry(this.#call);
  }

  #due(ms: number): void {
    this.#deps.deadlines.remove(this);
    this.#deps.deadlines.add(this, this.#deps.nowMs() + ms);
  }
}
