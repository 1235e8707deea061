import type { Socket } from "node:net";
import { AshlarError, messageOf } from "../../core/errors.js";
import { DialRest, type LastRest } from "./dial-rest.js";
import type { DialSlots } from "./dial-slots.js";
import type { Timed } from "./forward/deadline-wheel.js";
import { type SessionWatcher, UpstreamSession } from "./forward/upstream-session.js";
import { StreamQueue, type StreamWaiter } from "./stream-queue.js";
import { narrowMs, TargetSessions } from "./target-sessions.js";
import type { UpstreamPoolDeps, UpstreamPoolOptions, UpstreamTarget } from "./upstream-target.js";

/** A connection that ends within this time without a call counts as a failure, in milliseconds. */
const tooSoonMs = 1000;

/** What all targets of a pool share. */
export interface SharedByTargets {
  readonly slots: DialSlots;
  readonly lastRest: LastRest;
}

/** How soon a call would get a stream, the soonest first. */
export const reach = { now: 0, afterDial: 1, inQueue: 2, backedOff: 3 } as const;
export type Reach = (typeof reach)[keyof typeof reach];

/** The calls that wait for a stream to one target, and the dialling of its connections. */
export class TargetConnections implements SessionWatcher, Timed {
  readonly #deps: UpstreamPoolDeps;
  readonly #options: UpstreamPoolOptions;
  readonly #slots: DialSlots;
  readonly #rest: DialRest;
  readonly #queue: StreamQueue;
  readonly #sessions: TargetSessions;
  #target: UpstreamTarget;
  #dialing = false;
  #closed = false;
  #evicted = false;
  #serving = false;
  /** The number of calls that got a connection so far. */
  #given = 0;
  /** Whether the next connection that ends unused is forgiven: none did since a call was given. */
  #forgives = false;
  /** Called when the last connection has closed. Set when the target is evicted. */
  #whenEmpty: (() => void) | undefined;
  readonly #serve = (): void => {
    this.#serving = false;
    try {
      this.#serveWaiting();
    } catch (error) {
      this.#deps.engine.onFault(error);
    }
  };
  readonly #retryDial = (): void => this.#dialIfUseful();

  dueMs = 0;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelBefore: Timed | null = null;

  constructor(
    deps: UpstreamPoolDeps,
    options: UpstreamPoolOptions,
    { slots, lastRest }: SharedByTargets,
    target: UpstreamTarget,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#slots = slots;
    this.#target = target;
    this.#rest = new DialRest({ msMin: options.redialMsMin, msMax: options.redialMsMax }, deps.random, lastRest);
    this.#sessions = new TargetSessions(options);
    this.#queue = new StreamQueue(options.waitingMaxPerTarget, deps.engine.waits);
  }

  /** The number of calls that wait, or are open on connections that accept more calls. */
  get load(): number {
    return this.#queue.size + this.#sessions.load;
  }

  /** The number of connections that take calls, counting the one that is being dialled. */
  get connections(): number {
    return this.#sessions.size + (this.#dialing ? 1 : 0);
  }

  get reach(): Reach {
    if (this.#queue.size === 0 && this.#sessions.find() !== undefined) return reach.now;
    if (this.#rest.leftMs(this.#nowMs()) > 0) return this.#sessions.size > 0 ? reach.inQueue : reach.backedOff;
    return this.#dialing || this.#sessions.areFull ? reach.inQueue : reach.afterDial;
  }

  /** Returns a session with room that is not retiring, if no call waits for one. */
  findFresh(): UpstreamSession | undefined {
    if (this.#queue.size > 0) return undefined;
    const session = this.#sessions.find();
    return session === undefined || session.retiring ? undefined : session;
  }

  /** See `UpstreamPool.acquire`. */
  acquire(target: UpstreamTarget, waiter: StreamWaiter): void {
    this.#target = target;
    const session = this.#queue.size === 0 ? this.#sessions.find() : undefined;
    if (session !== undefined && this.#give(session, waiter)) return;
    const refused = this.#queue.add(waiter);
    refused?.end(this.#overflow());
    this.#serveWaiting();
  }

  /** Opens the waiter's call on a session. Returns false if there is no room after all. */
  #give(session: UpstreamSession, waiter: StreamWaiter): boolean {
    if (session.retiring && this.#rest.leftMs(this.#nowMs()) <= 0) this.#dial();
    try {
      if (!waiter.open(session)) return false;
    } catch (error) {
      waiter.end(error);
      return true;
    }
    this.#rest.reset(); // only progress resets the backoff
    this.#given++;
    this.#forgives = true;
    waiter.end(undefined);
    return true;
  }

  #overflow(): AshlarError {
    const { waitingMaxPerTarget } = this.#options;
    const { key } = this.#target;
    return new AshlarError("limit", `${waitingMaxPerTarget} calls wait already for a stream to ${key}`);
  }

  /** Dials the first connection before there is a call. */
  warm(target: UpstreamTarget): void {
    this.#target = target;
    if (this.#sessions.size === 0 && this.#rest.leftMs(this.#nowMs()) <= 0) this.#dial();
  }

  // === Room ===

  roomMade(): void {
    if (this.#queue.size > 0) this.#serveSoon();
  }

  changed(session: UpstreamSession): void {
    if (session.closed && this.#sessions.finish(session)) this.#noteUnused(session);
    this.roomMade();
  }

  /** Serves waiting calls in a later turn, because a slot becomes free only after the caller of this method returns. */
  #serveSoon(): void {
    if (this.#serving) return;
    this.#serving = true;
    queueMicrotask(this.#serve);
  }

  #serveWaiting(): void {
    while (this.#queue.size > 0) {
      const session = this.#sessions.find();
      if (session === undefined) break;
      const waiter = this.#queue.next();
      if (waiter === undefined) break;
      if (this.#give(session, waiter)) continue;
      this.#queue.putBack(waiter);
      break;
    }
    if (this.#queue.size > 0) this.#dialIfUseful();
  }

  // === Dialling ===

  #nowMs(): number {
    return this.#deps.engine.loop.time();
  }

  /** Dials another connection for the waiting calls if that helps, and refuses them if nothing will. */
  #dialIfUseful(): void {
    if (this.#queue.size === 0) return;
    const restMs = this.#rest.leftMs(this.#nowMs());
    const hopeless = this.#hopeless(restMs);
    if (hopeless !== undefined) this.#refuseAll(new AshlarError("unavailable", hopeless));
    else if (this.#dialing || this.#sessions.areFull) return;
    else if (restMs > 0) this.#lookLater(restMs);
    else if (this.#sessions.isOnlyNarrow(this.#nowMs())) this.#lookLater(narrowMs);
    else this.#dial();
  }

  /** Returns why no waiting call will get a stream, or undefined if one may. */
  #hopeless(restMs: number): string | undefined {
    const { key } = this.#target;
    if (this.#closed) return "the proxy is stopping";
    if (this.#dialing) return undefined;
    if (this.#evicted) return `${key} is not there any more`;
    if (this.#sessions.size > 0) return undefined;
    const bound = this.#target.whyNotDial?.();
    if (bound !== undefined || restMs <= 0) return bound;
    return `${key} was not reached a moment ago: ${this.#rest.lastFailure}`;
  }

  #lookLater(delayMs: number): void {
    if (this.wheelSlot < 0) this.#deps.engine.deadlines.add(this, this.#nowMs() + delayMs);
  }

  onDue(): void {
    this.#serveWaiting();
  }

  /** Dials a connection. One dial at a time serves all waiting calls. */
  #dial(): void {
    if (this.#dialing || this.#closed || this.#target.whyNotDial?.() !== undefined) return;
    if (!this.#slots.take(this.#retryDial)) return;
    this.#dialing = true;
    void this.#open(this.#target).then((failure) => {
      this.#dialing = false;
      this.#slots.give();
      if (failure !== undefined && this.#sessions.size === 0) this.#refuseAll(failure);
      this.#serveWaiting();
      this.#tellIfEmpty();
    });
  }

  /** Opens a session. Resolves to the error if that failed, otherwise to undefined. */
  async #open(target: UpstreamTarget): Promise<unknown> {
    try {
      const { key, version, session = this.#options.session } = target;
      const { dial, engine } = this.#deps;
      const socket = dial === undefined ? await target.dial() : dial(key);
      this.#take(await UpstreamSession.open(socket, session, engine, key, version));
      return undefined;
    } catch (error) {
      this.#rest.noteFailure(messageOf(error), this.#nowMs());
      return error;
    }
  }

  #take(session: UpstreamSession): void {
    if (this.#closed) {
      session.destroy();
      return;
    }
    if (this.#evicted) setImmediate(() => session.retire()); // it serves only the calls that already wait
    session.watch(this);
    session.givenBefore = this.#given;
    this.#sessions.add(session);
    session.onClose(() => this.#forget(session));
    // A connection that accepts no calls now may do so later; another one would accept none either.
    if (!session.hasSlot) this.#rest.noteFailure("it takes no calls", this.#nowMs());
    for (const older of this.#sessions.taking()) {
      if (!older.retiring || older === session) continue;
      older.shutdown();
      this.changed(older);
    }
    if (session.closed) this.changed(session);
  }

  #forget(session: UpstreamSession): void {
    if (this.#sessions.remove(session)) this.#noteUnused(session);
    this.roomMade();
    this.#tellIfEmpty();
  }

  /**
   * Counts a connection that ended before it had a call as a failure. Otherwise it would be dialled endlessly. If other
   * connections served calls meanwhile, it was superfluous and is no failure.
   */
  #noteUnused(session: UpstreamSession): void {
    const { used, retiring, openedMs, givenBefore } = session;
    if (this.#given !== givenBefore || used || retiring || this.#nowMs() - openedMs >= tooSoonMs) return;
    if (!this.#forgives) this.#rest.noteFailure("its connections end as soon as they are made", this.#nowMs());
    this.#forgives = false;
  }

  /** Refuses the calls that wait now. Calls that are added meanwhile stay. */
  #refuseAll(error: unknown): void {
    for (let left = this.#queue.size; left > 0; left--) this.#queue.next()?.end(error);
  }

  // === Ends ===

  /** Retires the connections: they serve calls only until there is a new one. */
  retire(): void {
    for (const session of this.#sessions.taking()) {
      session.retire();
      this.changed(session);
    }
  }

  /** Like `retire`; a connection still being dialled serves only the calls that wait for it. */
  evict(whenEmpty: () => void): void {
    this.#evicted = true;
    this.#whenEmpty = whenEmpty;
    this.retire();
    this.#dialIfUseful();
    this.#tellIfEmpty();
  }

  closeWhere(isRefused: (socket: Socket) => boolean): void {
    for (const session of this.#sessions.all()) if (isRefused(session.socket)) session.destroy();
  }

  destroy(): void {
    this.#closed = true;
    for (const session of this.#sessions.all()) session.destroy();
    this.#deps.engine.deadlines.remove(this);
    this.#dialIfUseful();
  }

  #tellIfEmpty(): void {
    if (this.#sessions.areGone && !this.#dialing) this.#whenEmpty?.();
  }
}
