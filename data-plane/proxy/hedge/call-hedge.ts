/** Sends one call to several instances at once, as its route's hedge says (gRFC A6). */
import { decideHedge, forbidsMore } from "../../../core/balance/hedge-decision.js";
import { parsePushback } from "../../../core/balance/retry-decision.js";
import type { Endpoint, Hedge } from "../../../core/model.js";
import type { MemoryBudget } from "../../http2/memory-budget.js";
import { errorCode } from "../../http2/protocol.js";
import { type Stream, type StreamSink, sendState } from "../../http2/stream.js";
import type { AttemptOutcome } from "../forward/attempt-outcome.js";
import type { Call } from "../forward/call.js";
import type { Retrying } from "../forward/call-owner.js";
import type { DeadlineWheel, Timed } from "../forward/deadline-wheel.js";
import type { UpstreamSession } from "../forward/upstream-session.js";
import type { ServiceTraffic } from "../service-traffic.js";
import type { UpstreamPool } from "../upstream-pool.js";
import type { UpstreamTarget } from "../upstream-target.js";
import { type AttemptEnds, noteEnd, openBeside } from "./beside.js";
import type { HedgeOutcome } from "./hedge-outcome.js";
import { HedgedTry, type HedgedTryOwner } from "./hedged-try.js";

export interface CallHedgeDeps extends AttemptEnds {
  readonly pool: UpstreamPool;
  readonly deadlines: DeadlineWheel;
  readonly budget: MemoryBudget;
  /** Chooses an instance that was not tried. undefined: none is left. */
  choose(call: Call, tried: ReadonlySet<string>): Endpoint | undefined;
  targetOf(service: string, endpoint: Endpoint): UpstreamTarget;
  /** Returns the instance with this name in the pool. undefined: it is gone. */
  endpointOf(name: string): Endpoint | undefined;
  hedged(service: string, outcome: HedgeOutcome): void;
}

/**
 * Hedges one call. The call's attempt is one of the tries, and the others are open beside it. The first try that
 * answers becomes the attempt, and the others are cancelled.
 */
export class CallHedge implements Retrying, Timed, HedgedTryOwner {
  tries = 1;
  readonly #policy: Hedge;
  readonly #deps: CallHedgeDeps;
  readonly #call: Call;
  readonly #traffic: ServiceTraffic;
  readonly #carry: () => void;
  /** The tries beside the attempt, including those that wait for a stream. */
  readonly #others: HedgedTry[] = [];
  /** The instances that the call was sent to. */
  readonly #sentTo = new Set<string>();
  /** Whether the server has forbidden further tries (pushback). */
  #isForbidden = false;
  /** Whether trying has ended: the call has its answer, or its request is too long to be sent again. */
  #isSettled = false;
  /** Whether the call waits for its next try while none is open. */
  #waits = false;
  dueMs = 0;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelBefore: Timed | null = null;

  constructor(policy: Hedge, deps: CallHedgeDeps, call: Call, traffic: ServiceTraffic, carry: () => void) {
    this.#policy = policy;
    this.#deps = deps;
    this.#call = call;
    this.#traffic = traffic;
    this.#carry = carry;
  }

  get line(): string {
    return this.#call.line;
  }

  // === Of the call ===

  began(): void {
    this.#noteTried(this.#call.endpoint);
    this.#beginLater(this.#policy.delayMs);
  }

  passed(bytes: Uint8Array, start: number, end: number): void {
    const { isKept, ended } = this.#call.messages;
    if (!isKept) this.settle();
    for (const { stream } of this.#others) stream?.sendData(bytes, start, end, ended);
  }

  afterMs(code: number, pushback: string | undefined): number {
    const decision = this.#decide(code, pushback, this.#others.length);
    if (decision.kind === "answer") return -1;
    if (this.#others.length > 0) {
      if (decision.kind === "next") this.#beginLater(decision.waitMs);
      return 0;
    }
    return decision.kind === "next" && this.#mayPay(decision.waitMs) ? decision.waitMs : -1;
  }

  notKept(): false {
    return false;
  }

  wait(waitMs: number): void {
    if (this.takesOver()) return;
    this.#call.waiting = this;
    this.#waits = true;
    this.#deps.deadlines.remove(this);
    if (this.#others.length > 0) return; // one of them waits for a stream, which will be the attempt's
    this.tries++;
    if (waitMs > 0) this.#due(waitMs);
    else this.#send();
  }

  takesOver(): boolean {
    const one = this.#others.find(({ stream }) => stream !== null);
    if (one?.stream == null || one.session === null || !this.#call.adopt(one.stream, one.session)) return false;
    this.#remove(one);
    return true;
  }

  stop(): void {}

  settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#deps.deadlines.remove(this);
    for (const one of this.#others.splice(0)) {
      one.waiter.leave();
      this.#deps.hedged(this.#call.service, "lost");
      const { stream, session } = one;
      one.stream = null;
      if (stream === null || session === null) continue;
      noteEnd(this.#deps, this.#call, stream, session, "cancelled", this.#call.code);
      session.cancel(stream);
    }
  }

  leave(): void {
    this.#waits = false;
    this.#deps.deadlines.remove(this);
  }

  onDue(): void {
    if (!this.#waits) this.#begin();
    else this.#send();
  }

  // === Of the tries beside ===

  open(one: HedgedTry, session: UpstreamSession): Stream | null | undefined {
    if (this.#isSettled) return undefined;
    if (!this.#waits) {
      const { tries } = this;
      this.tries = one.nth; // others may have begun while it waited: its request says what came before it
      const stream = openBeside(this.#call, session, one, this.#deps.nowMs());
      this.tries = tries;
      if (stream === undefined) this.#remove(one);
      return stream;
    }
    // The attempt has failed meanwhile: this one takes its place.
    this.#call.waiting = null;
    this.#waits = false;
    if (!this.#call.send(session, null)) {
      this.#call.waiting = this;
      this.#waits = true;
      return null;
    }
    this.#remove(one);
    return undefined;
  }

  won(one: HedgedTry): StreamSink | undefined {
    const { stream, session } = one;
    this.#remove(one);
    if (stream === null || session === null || !this.#call.adopt(stream, session)) return undefined;
    this.#deps.hedged(this.#call.service, "won");
    return this.#call;
  }

  failed(one: HedgedTry, outcome: AttemptOutcome, code: number, pushback: string | undefined): void {
    // The call's attempt, or its wait for one, is under way beside this one.
    const decision = this.#decide(code, pushback, this.#others.length);
    if (decision.kind === "answer" && outcome === "answered") return;
    this.#remove(one);
    this.#deps.hedged(this.#call.service, "failed");
    this.#end(one, outcome, code);
    if (this.#waits && this.#others.length === 0 && this.wheelSlot < 0) this.#send();
    else if (decision.kind === "next" && !this.#waits) this.#beginLater(decision.waitMs);
  }

  #end(one: HedgedTry, outcome: AttemptOutcome, code: number): void {
    const { stream, session } = one;
    one.stream = null;
    if (stream === null || session === null) return;
    noteEnd(this.#deps, this.#call, stream, session, outcome, code);
    if (outcome !== "answered" && !stream.closed) session.cancel(stream);
    else {
      if (stream.sending !== sendState.ended && !stream.closed) stream.reset(errorCode.noError);
      session.released();
    }
  }

  #decide(code: number, pushback: string | undefined, open: number) {
    const pushbackMs = parsePushback(pushback);
    const decision = decideHedge(this.#policy, { code, tries: this.tries, pushbackMs }, open, !this.#isForbidden);
    if (forbidsMore(pushbackMs)) {
      this.#isForbidden = true;
      this.#deps.deadlines.remove(this);
    }
    return decision;
  }

  /** Sends the call itself again: none of its tries is open. */
  #send(): void {
    this.#waits = false;
    this.#call.waiting = null;
    this.#carry();
  }

  /** Begins one more try beside the others, if an untried instance and budget are left. */
  #begin(): void {
    const { choose, targetOf, pool, budget } = this.#deps;
    const call = this.#call;
    if (!this.#mayBegin || budget.isTight) return;
    const endpoint = choose(call, this.#sentTo);
    if (endpoint === undefined || !this.#mayPay(0)) return;
    this.#sentTo.add(endpoint.proxyId);
    this.tries++;
    const one = new HedgedTry(this, this.tries);
    this.#others.push(one);
    pool.acquire(targetOf(call.service, endpoint), one.waiter);
    this.#beginLater(this.#policy.delayMs);
  }

  get #mayBegin(): boolean {
    return !this.#isSettled && !this.#isForbidden && this.tries < this.#policy.attempts && this.#call.messages.isKept;
  }

  /** Returns whether time and budget allow one more try, and takes the try from the budget then. */
  #mayPay(waitMs: number): boolean {
    const nowMs = this.#deps.nowMs();
    const { dueAtMs } = this.#call;
    if (dueAtMs >= 0 && nowMs + waitMs >= dueAtMs) return false;
    return this.#traffic.budget.take(nowMs);
  }

  /** Notes that no further hedged try goes to this instance. */
  #noteTried(name: string | undefined): void {
    const endpoint = name === undefined ? undefined : this.#deps.endpointOf(name);
    if (endpoint !== undefined) this.#sentTo.add(endpoint.proxyId);
  }

  #remove(one: HedgedTry): void {
    const place = this.#others.indexOf(one);
    if (place >= 0) this.#others.splice(place, 1);
  }

  #beginLater(ms: number): void {
    if (!this.#mayBegin) return;
    if (ms > 0) this.#due(ms);
    else this.#begin();
  }

  #due(ms: number): void {
    this.#deps.deadlines.remove(this);
    this.#deps.deadlines.add(this, this.#deps.nowMs() + ms);
  }
}
