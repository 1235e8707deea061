import { isAshlarError } from "../../core/errors.js";
import type { Endpoint } from "../../core/model.js";
import type { EndpointChoice } from "./endpoint-choice.js";
import type { Call } from "./forward/call.js";
import type { DeadlineWheel, Timed } from "./forward/deadline-wheel.js";
import type { UpstreamSession } from "./forward/upstream-session.js";
import { StreamWaiter } from "./stream-queue.js";
import { reach } from "./target-connections.js";
import type { UpstreamPool } from "./upstream-pool.js";

export interface EndpointRaceDeps {
  readonly choice: EndpointChoice;
  readonly pool: UpstreamPool;
  readonly deadlines: DeadlineWheel;
  nowMs(): number;
}

/** An endpoint that has no stream for the call by then is not waited for alone. */
const headStartMs = 50;
/** The longest interval in milliseconds between looks for a better endpoint. The interval grows while none is found. */
const lookMsMax = 1600;
/** The most endpoints that are asked one after the other although too many calls wait there. */
const fullMax = 3;
const nothingTried: ReadonlySet<string> = new Set();

/**
 * A call on its way to one of a service's endpoints: the best one first, after a short delay the next beside it, and so on
 * until one has a stream for it, none is left, or the call is over. It is sent once, to the first: what is raced is who
 * can be reached.
 */
export class EndpointRace implements Timed {
  readonly #deps: EndpointRaceDeps;
  readonly #call: Call;
  /** Called once, unless the call is over before: no endpoint was reached, and why the last one was not. */
  readonly #lost: (failure: unknown) => void;
  readonly #open = (session: UpstreamSession): boolean => this.#call.send(session, null);
  readonly #waiters: StreamWaiter[] = [];
  #failure: unknown;
  #full = 0;
  #lookMs = headStartMs;
  #over = false;
  /** An endpoint is being asked: what it says at once is gone on with afterwards. */
  #asking = false;

  dueMs = 0;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelBefore: Timed | null = null;

  constructor(deps: EndpointRaceDeps, call: Call, lost: (failure: unknown) => void) {
    this.#deps = deps;
    this.#call = call;
    this.#lost = lost;
  }

  start(): void {
    this.#call.waiting = this;
    this.#call.tried ??= new Set();
    this.#goOn();
  }

  /** The call is over, or has a stream. */
  leave(): void {
    if (!this.#over) this.#call.traffic?.breaker.waited();
    this.#over = true;
    this.#deps.deadlines.remove(this);
    for (const waiter of this.#waiters) waiter.leave();
  }

  /** Asks endpoints until one is waited for. */
  #goOn(): void {
    while (!this.#over && this.#waiters.length === 0) {
      const endpoint = this.#full < fullMax ? this.#next() : undefined;
      if (endpoint === undefined) this.#end();
      else this.#ask(endpoint);
    }
    if (!this.#over && this.wheelSlot < 0) this.#lookAgain();
  }

  #end(): void {
    this.leave();
    this.#call.waiting = null;
    if (!this.#call.settled) this.#lost(this.#failure);
  }

  #next(): Endpoint | undefined {
    const { tried = nothingTried, attempts } = this.#call;
    const { choice } = this.#deps;
    const untried = choice.choose(this.#call, tried);
    if (untried !== undefined || this.#failure !== undefined || attempts === 0) return untried;
    // Every endpoint refused the call: one that did is asked again before that is said.
    return choice.choose(this.#call, nothingTried);
  }

  #ask(endpoint: Endpoint): void {
    const { choice, pool } = this.#deps;
    const target = choice.targetOf(this.#call.service, endpoint);
    this.#call.tried?.add(endpoint.proxyId);
    // The best that is left is backed off: so are all the others.
    const isLast = pool.reachOf(target.key) === reach.backedOff;
    const waiter = new StreamWaiter(this.#call.caller, this.#open, (failure) => this.#heard(waiter, failure, isLast));
    this.#waiters.push(waiter);
    this.#asking = true;
    pool.acquire(target, waiter);
    this.#asking = false;
  }

  #heard(waiter: StreamWaiter, failure: unknown, isLast: boolean): void {
    this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
    if (failure === undefined) {
      this.leave();
      this.#call.waiting = null;
      return;
    }
    this.#failure = failure;
    if (isAshlarError(failure, "limit")) this.#full++;
    if (isLast) this.#full = fullMax;
    if (!this.#asking) this.#goOn();
  }

  #lookAgain(): void {
    this.#deps.deadlines.add(this, this.#deps.nowMs() + this.#lookMs);
  }

  /** Nobody had a stream yet: one more is asked if that could be sooner. */
  onDue(): void {
    const { choice, pool } = this.#deps;
    const { service, tried = nothingTried } = this.#call;
    const endpoint = choice.choose(this.#call, tried);
    if (endpoint !== undefined && pool.reachOf(choice.targetOf(service, endpoint).key) <= reach.afterDial) {
      this.#lookMs = headStartMs;
      this.#ask(endpoint);
    } else this.#lookMs = Math.min(2 * this.#lookMs, lookMsMax);
    this.#goOn();
  }
}
