import type { Socket } from "node:net";
import { DialSlots } from "./dial-slots.js";
import type { UpstreamSession } from "./forward/upstream-session.js";
import type { StreamWaiter } from "./stream-queue.js";
import { type Reach, reach, type SharedByTargets, TargetConnections } from "./target-connections.js";
import type { UpstreamPoolDeps, UpstreamPoolOptions, UpstreamTarget } from "./upstream-target.js";

/** The connections to upstreams. All calls share them, and they are dialled on demand. */
export class UpstreamPool {
  readonly #deps: UpstreamPoolDeps;
  readonly #options: UpstreamPoolOptions;
  readonly #shared: SharedByTargets;
  readonly #targets = new Map<string, TargetConnections>();
  /** Evicted targets with open calls. Changes of trust apply to their connections too. */
  readonly #evicted = new Set<TargetConnections>();

  constructor(deps: UpstreamPoolDeps, options: UpstreamPoolOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#shared = { slots: new DialSlots(options.dialsMax), lastRest: { untilMs: 0 } };
  }

  /**
   * Returns a session with room for a call, or undefined; then the caller uses `acquire`. `key`: the key of a target.
   */
  find(key: string): UpstreamSession | undefined {
    const connections = this.#targets.get(key);
    return connections === undefined ? undefined : connections.findFresh();
  }

  /**
   * Gives `waiter` a session with room for its call, now or as soon as one is free. Dials if there is none, within the
   * target's limits. The waiter stays until it leaves. It ends with `unavailable` if the target cannot be reached (at
   * once while the target is backed off after a failure), with `limit` if too many calls wait, and otherwise with the
   * dial's error.
   */
  acquire(target: UpstreamTarget, waiter: StreamWaiter): void {
    this.#at(target).acquire(target, waiter);
  }

  /** Connects to a target that has no connection, before there is a call. */
  warm(target: UpstreamTarget): void {
    this.#at(target).warm(target);
  }

  #at(target: UpstreamTarget): TargetConnections {
    let connections = this.#targets.get(target.key);
    if (connections === undefined) {
      connections = new TargetConnections(this.#deps, this.#options, this.#shared, target);
      this.#targets.set(target.key, connections);
    }
    return connections;
  }

  /** Returns the number of calls that are open at a target or wait for one of its streams. */
  loadOf(key: string): number {
    return this.#targets.get(key)?.load ?? 0;
  }

  /** Returns the number of connections to the targets whose keys begin with `prefix`. */
  connectionsTo(prefix: string): number {
    let count = 0;
    for (const [key, { connections }] of this.#targets) if (key.startsWith(prefix)) count += connections;
    return count;
  }

  /** Whether some target may be backed off. If it is false, none is, so that nobody has to look at each of them. */
  get mayRest(): boolean {
    return this.#shared.lastRest.untilMs > this.#deps.engine.loop.time();
  }

  /** Returns how soon a call would get a stream at a target. */
  reachOf(key: string): Reach {
    return this.#targets.get(key)?.reach ?? reach.afterDial;
  }

  /** Evicts the targets for which `keep` returns false. Open calls finish. */
  evict(keep: (key: string) => boolean): void {
    for (const [key, connections] of this.#targets) {
      if (keep(key)) continue;
      this.#targets.delete(key);
      this.#evicted.add(connections);
      connections.evict(() => this.#evicted.delete(connections));
    }
  }

  /**
   * Must be called when identity or trust was replaced: new calls then use new connections as soon as there are any.
   */
  retireAll(): void {
    for (const connections of this.#targets.values()) connections.retire();
  }

  /** Closes the connections that `isRefused` names at once. Their calls end. */
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
