import type { Socket } from "node:net";
import { AshlarError, messageOf } from "../../core/errors.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import type { ProxyEngine } from "./forward/proxy-engine.js";
import { UpstreamSession, type UpstreamSessionOptions } from "./forward/upstream-session.js";

/** Where calls can be sent. */
export interface UpstreamTarget {
  /** Two targets with the same key share connections. */
  readonly key: string;
  /** Connects, and proves that the other side is who it should be. Fails with an AshlarError. */
  dial(): Promise<Socket>;
}

export interface UpstreamPoolOptions {
  readonly connectionsMaxPerTarget: number;
  readonly waitingMaxPerTarget: number;
  readonly redialMsMin: number;
  readonly redialMsMax: number;
  readonly session: UpstreamSessionOptions;
}

export interface UpstreamPoolDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly engine: ProxyEngine;
}

/** Connections to upstreams, shared by all calls; dialled on demand. */
export class UpstreamPool {
  readonly #deps: UpstreamPoolDeps;
  readonly #options: UpstreamPoolOptions;
  readonly #targets = new Map<string, TargetConnections>();
  /** Let go of, with calls still open: trust is asked about them like about the others. */
  readonly #evicted = new Set<TargetConnections>();

  constructor(deps: UpstreamPoolDeps, options: UpstreamPoolOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** A session with room for a call, or undefined: then `acquire` it. `key`: of a target. */
  find(key: string): UpstreamSession | undefined {
    const connections = this.#targets.get(key);
    return connections === undefined ? undefined : connections.findFresh();
  }

  /**
   * Gives `open` a session with room for one call; it takes the room at once, or says false. Dials if there is
   * none, within the target's limits. Fails with `unavailable` when it cannot be reached (at once while it is
   * backed off after a failure), with `limit` when it is full, and with what the dial failed with otherwise.
   */
  acquire(target: UpstreamTarget, open: (session: UpstreamSession) => boolean): Promise<void> {
    let connections = this.#targets.get(target.key);
    if (connections === undefined) {
      connections = new TargetConnections(this.#deps, this.#options);
      this.#targets.set(target.key, connections);
    }
    return connections.acquire(target, open);
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
  closeWhere(isRefused: (socket: Socket) => boolean): void {
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
  readonly #engine: ProxyEngine;
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

  constructor({ clock, random, engine }: UpstreamPoolDeps, options: UpstreamPoolOptions) {
    this.#clock = clock;
    this.#engine = engine;
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

  async acquire(target: UpstreamTarget, open: (session: UpstreamSession) => boolean): Promise<void> {
    for (let dials = 0; ; dials++) {
      const session = this.#findRoom();
      if (session !== undefined) {
        if (session.retiring) this.#redialInBackground(target);
        if (open(session)) return;
      }
      if (dials > this.#options.connectionsMaxPerTarget) {
        throw new AshlarError("unavailable", `connections to ${target.key} end as soon as they are made`);
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

  /** A session with room that is to stay. */
  findFresh(): UpstreamSession | undefined {
    const session = this.#findRoom();
    return session === undefined || session.retiring ? undefined : session;
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

  closeWhere(isRefused: (socket: Socket) => boolean): void {
    for (const session of this.#sessions) if (isRefused(session.socket)) session.destroy();
  }

  destroy(): void {
    this.#closed = true;
    for (const session of this.#sessions) session.destroy();
  }

  /** The first with room, in the order they were made: the fewer are in use, the more calls share a write. */
  #findRoom(): UpstreamSession | undefined {
    let found: UpstreamSession | undefined;
    for (const session of this.#sessions) {
      if (!session.hasRoom) continue;
      if (!session.retiring) return session;
      found ??= session;
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
      const session = await UpstreamSession.open(await target.dial(), this.#options.session, this.#engine);
      if (this.#closed) session.destroy();
      else if (!session.hasRoom) {
        session.destroy();
        throw new AshlarError("unavailable", `${target.key} takes no calls`);
      }
      if (this.#whenEmpty !== undefined) setImmediate(() => session.retire());
      this.#sessions.add(session);
      session.onClose(() => {
        this.#sessions.delete(session);
        this.#tellIfEmpty();
      });
      for (const older of this.#sessions) if (older.retiring) older.shutdown();
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
