import type { Duplex } from "node:stream";
import { AshlarError, messageOf } from "../../core/errors.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import { UpstreamSession, type UpstreamSessionOptions, type UpstreamSlot } from "./forward/upstream-session.js";

/** Where calls can be sent. */
export interface UpstreamTarget {
  /** Two targets with the same key share connections. */
  readonly key: string;
  /** Connects, and proves that the other side is who it should be. Fails with an AshlarError. */
  dial(): Promise<Duplex>;
}

export interface UpstreamPoolOptions {
  readonly connectionsMaxPerTarget: number;
  readonly waitingMaxPerTarget: number;
  readonly redialMsMin: number;
  readonly redialMsMax: number;
  readonly session: UpstreamSessionOptions;
}

/** Connections to upstreams, shared by all calls; dialled on demand. */
export class UpstreamPool {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #options: UpstreamPoolOptions;
  readonly #targets = new Map<string, TargetConnections>();
  /** Let go of, with calls still open: trust is asked about them like about the others. */
  readonly #evicted = new Set<TargetConnections>();

  constructor(deps: { readonly clock: Clock; readonly random: () => number }, options: UpstreamPoolOptions) {
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#options = options;
  }

  /**
   * Room for one call. Dials if there is none, within the target's limits. Fails with `unavailable` when
   * it cannot be reached (at once while it is backed off after a failure), with `limit` when it is full,
   * and with what the dial failed with otherwise.
   */
  acquire(target: UpstreamTarget): Promise<UpstreamSlot> {
    let connections = this.#targets.get(target.key);
    if (connections === undefined) {
      connections = new TargetConnections(this.#clock, this.#random, this.#options);
      this.#targets.set(target.key, connections);
    }
    return connections.acquire(target);
  }

  /** Calls that are open at a target or wait for it. */
  loadOf(key: string): number {
    return this.#targets.get(key)?.load ?? 0;
  }

  /** The last dial failed and it is too early for the next one. */
  isBackedOff(key: string): boolean {
    return this.#targets.get(key)?.backedOff ?? false;
  }

  /** Lets go of targets that `keep` does not want: open calls finish. */
  evict(keep: (key: string) => boolean): void {
    for (const [key, connections] of this.#targets) {
      if (keep(key)) continue;
      this.#targets.delete(key);
      this.#evicted.add(connections);
      connections.evict(() => this.#evicted.delete(connections));
    }
  }

  /** Identity or trust was replaced: new calls go over new connections as soon as there are some. */
  retireAll(): void {
    for (const connections of this.#targets.values()) connections.retire();
  }

  /** Closes at once the connections that `isRefused` names; their calls end. */
  closeWhere(isRefused: (socket: Duplex) => boolean): void {
    for (const connections of this.#all()) connections.closeWhere(isRefused);
  }

  /** Closes everything; open calls end. */
  close(): void {
    for (const connections of this.#all()) connections.destroy();
    this.#targets.clear();
    this.#evicted.clear();
  }

  #all(): readonly TargetConnections[] {
    return [...this.#targets.values(), ...this.#evicted];
  }
}

/** The connections to one target. */
class TargetConnections {
  readonly #clock: Clock;
  readonly #options: UpstreamPoolOptions;
  readonly #backoff: Backoff;
  readonly #sessions = new Set<UpstreamSession>();
  #dialing: Promise<void> | undefined;
  #notBeforeMs = 0;
  #waiting = 0;
  #lastFailure = "";
  #closed = false;
  /** Set once evicted; called when the last connection has closed. */
  #whenEmpty: (() => void) | undefined;

  constructor(clock: Clock, random: () => number, options: UpstreamPoolOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#backoff = new Backoff({ msMin: options.redialMsMin, msMax: options.redialMsMax }, random);
  }

  get load(): number {
    let load = this.#waiting;
    for (const session of this.#sessions) load += session.outstanding;
    return load;
  }

  get backedOff(): boolean {
    return this.#clock.monotonicMs() < this.#notBeforeMs && this.#findRoom() === undefined;
  }

  async acquire(target: UpstreamTarget): Promise<UpstreamSlot> {
    for (;;) {
      const session = this.#findRoom();
      if (session !== undefined) {
        if (session.retiring) this.#redialInBackground(target);
        return session.take();
      }
      if (this.#waiting >= this.#options.waitingMaxPerTarget) {
        throw new AshlarError("limit", `too many calls wait for ${target.key}`);
      }
      this.#waiting += 1;
      try {
        await this.#dial(target);
      } finally {
        this.#waiting -= 1;
      }
    }
  }

  /** Retiring connections serve on until a new one can. */
  retire(): void {
    for (const session of this.#sessions) session.retire();
  }

  /** As `retire`, and a connection that is still being made serves only those who wait for it. */
  evict(whenEmpty: () => void): void {
    this.#whenEmpty = whenEmpty;
    this.retire();
    this.#tellIfEmpty();
  }

  closeWhere(isRefused: (socket: Duplex) => boolean): void {
    for (const session of this.#sessions) if (isRefused(session.socket)) session.destroy();
  }

  destroy(): void {
    this.#closed = true;
    for (const session of this.#sessions) session.destroy();
  }

  #findRoom(): UpstreamSession | undefined {
    let found: UpstreamSession | undefined;
    for (const session of this.#sessions) {
      if (session.closed || session.full) continue;
      if (found === undefined || isBetter(session, found)) found = session;
    }
    return found;
  }

  /** One dial at a time, shared by all who wait. */
  #dial(target: UpstreamTarget): Promise<void> {
    this.#dialing ??= this.#open(target).finally(() => {
      this.#dialing = undefined;
      this.#tellIfEmpty();
    });
    return this.#dialing;
  }

  async #open(target: UpstreamTarget): Promise<void> {
    if (this.#closed) throw new AshlarError("unavailable", "the proxy is stopping");
    if (this.#clock.monotonicMs() < this.#notBeforeMs) {
      throw new AshlarError("unavailable", `${target.key} was not reached a moment ago: ${this.#lastFailure}`);
    }
    if (this.#sessions.size >= this.#options.connectionsMaxPerTarget) {
      throw new AshlarError("limit", `every connection to ${target.key} is full`);
    }
    try {
      const session = await UpstreamSession.open(await target.dial(), this.#options.session);
      if (this.#closed) session.destroy();
      if (this.#whenEmpty !== undefined) setImmediate(() => session.retire());
      this.#sessions.add(session);
      session.onClose(() => {
        this.#sessions.delete(session);
        this.#tellIfEmpty();
      });
      this.#backoff.reset();
    } catch (error) {
      this.#lastFailure = messageOf(error);
      this.#notBeforeMs = this.#clock.monotonicMs() + this.#backoff.nextMs();
      throw error;
    }
  }

  #tellIfEmpty(): void {
    if (this.#sessions.size === 0 && this.#dialing === undefined) this.#whenEmpty?.();
  }

  #redialInBackground(target: UpstreamTarget): void {
    if (this.#clock.monotonicMs() < this.#notBeforeMs) return;
    this.#dial(target).catch(() => {}); // the retiring connection serves on; the next call tries again
  }
}

/** New ones before retiring ones, then the less loaded. */
function isBetter(one: UpstreamSession, than: UpstreamSession): boolean {
  if (one.retiring !== than.retiring) return than.retiring;
  return one.outstanding < than.outstanding;
}
