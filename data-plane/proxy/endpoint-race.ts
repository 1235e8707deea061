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

/** How long an endpoint gets to offer a stream before the next one is asked too, in milliseconds. */
const headStartMs = 50;
/** The longest interval between two searches for a better endpoint, in milliseconds. It grows while none is found. */
const lookMsMax = 1600;
/** The most endpoints that are asked one after another when too many calls wait at each. */
const fullMax = 3;
const nothingTried: ReadonlySet<string> = new Set();

/**
 * Finds a stream for a call at one of a service's endpoints: it asks the best one, after a short delay the next as
 * well, and so on until one has a stream, none is left, or the call is over. The call is sent once, to the first
 * endpoint that has a stream.
 */
export class EndpointRace implements Timed {
  readonly #deps: EndpointRaceDeps;
  readonly #call: Call;
  /** Called once, with the last failure, if no endpoint can be reached and the call is not over. */
  readonly #lost: (failure: unknown) => void;
  readonly #open = (session: UpstreamSession): boolean => this.#call.send(session, null);
  readonly #waiters: StreamWaiter[] = [];
  /** The instances that were asked, and those that the call was sent to before the race. */
  readonly #asked: Set<string>;
  #failure: unknown;
  #full = 0;
  #lookMs = headStartMs;
  #over = false;
  /** Whether an endpoint is being asked right now. An answer that comes at once is handled after the asking. */
  #asking = false;

  dueMs = 0;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelBefore: Timed | null = null;

  constructor(deps: EndpointRaceDeps, call: Call, lost: (failure: unknown) => void) {
    this.#deps = deps;
    this.#call = call;
    this.#lost = lost;
    this.#asked = new Set(call.tried);
  }

  start(): void {
    this.#call.waiting = this;
    this.#goOn();
  }

  /** Ends the search because the call is over or has got a stream. */
  leave(): void {
    if (!this.#over) this.#call.traffic?.breaker.waited();
    this.#over = true;
    this.#deps.deadlines.remove(this);
    for (const waiter of this.#waiters) waiter.leave();
  }

  /** Asks endpoints until one of them has the call in its queue. */
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
    const { attempts } = this.#call;
    const { choice } = this.#deps;
    const untried = choice.choose(this.#call, this.#asked);
    if (untried !== undefined || this.#failure !== undefined || attempts === 0) return untried;
    // Every endpoint refused the call, so one that refused is asked again before the call fails.
    return choice.choose(this.#call, nothingTried);
  }

  #ask(endpoint: Endpoint): void {
    const { choice, pool } = this.#deps;
    const target = choice.targetOf(this.#call.service, endpoint);
    this.#asked.add(endpoint.proxyId);
    // The best remaining endpoint is backed off, so all others are too.
    const isLast = pool.reachOf(target.key) === reach.backedOff;
    const waiter = new StreamWaiter(this.#call.line, this.#open, (failure) =>
      this.#heard(waiter, endpoint, failure, isLast),
    );
    this.#waiters.push(waiter);
    this.#asking = true;
    pool.acquire(target, waiter);
    this.#asking = false;
  }

  #heard(waiter: StreamWaiter, endpoint: Endpoint, failure: unknown, isLast: boolean): void {
    this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
    if (failure === undefined) {
      this.#call.noteTried(endpoint.proxyId);
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

  /** Called when no endpoint has a stream in time: asks one more if that one may have a stream sooner. */
  onDue(): void {
    const { choice, pool } = this.#deps;
    const { service } = this.#call;
    const endpoint = choice.choose(this.#call, this.#asked);
    if (endpoint !== undefined && pool.reachOf(choice.targetOf(service, endpoint).key) <= reach.afterDial) {
      this.#lookMs = headStartMs;
      this.#ask(endpoint);
    } else this.#lookMs = Math.min(2 * this.#lookMs, lookMsMax);
    this.#goOn();
  }
}
