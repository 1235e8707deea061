import type { UpstreamSession } from "./forward/upstream-session.js";
import type { UpstreamPoolOptions } from "./upstream-target.js";

/** How long a connection with a used-up window may stay so before another one is dialled, in milliseconds. */
export const narrowMs = 20;

/**
 * The connections to one target, and which of them takes the next call. Connections that accept calls are bounded.
 * Those that only finish their calls after a GOAWAY are counted separately: they keep no call out.
 */
export class TargetSessions {
  readonly #options: UpstreamPoolOptions;
  /** The connections that accept calls or may again, in the order they were dialled. */
  readonly #taking = new Set<UpstreamSession>();
  /** The connections that accept no more calls, the oldest first. */
  readonly #finishing = new Set<UpstreamSession>();

  constructor(options: UpstreamPoolOptions) {
    this.#options = options;
  }

  /** The number of connections that accept calls or may again. */
  get size(): number {
    return this.#taking.size;
  }

  /** Whether every connection is gone, including those that only finish their calls. */
  get areGone(): boolean {
    return this.#taking.size === 0 && this.#finishing.size === 0;
  }

  /** The number of open calls on connections that accept more calls. */
  get load(): number {
    let load = 0;
    for (const session of this.#taking) load += session.outstanding;
    return load;
  }

  /** Returns the oldest session with room: the fewer are in use, the more calls share a write. */
  find(): UpstreamSession | undefined {
    let found: UpstreamSession | undefined;
    for (const session of this.#taking) {
      if (!session.hasRoom) continue;
      if (!session.retiring) return session;
      found ??= session;
    }
    return found;
  }

  /**
   * Whether no further connection may be made. Connections whose window other calls used up count separately, because
   * an application that does not read those calls may read others.
   */
  get areFull(): boolean {
    const { connectionsMaxPerTarget, narrowMaxPerTarget } = this.#options;
    let [wide, narrow] = [0, 0];
    for (const session of this.#taking) {
      if (session.retiring) continue;
      if (session.hasSlot && !session.hasRoom) narrow++;
      else wide++;
    }
    return wide >= connectionsMaxPerTarget || narrow >= narrowMaxPerTarget;
  }

  /**
   * Whether to wait for a connection's window, which may open at any moment, unlike a stream, which may stay open for
   * long.
   */
  isOnlyNarrow(nowMs: number): boolean {
    for (const session of this.#taking) {
      if (session.retiring || !session.hasSlot || session.hasRoom) continue;
      if (session.narrowSinceMs < 0) session.narrowSinceMs = nowMs;
      if (nowMs - session.narrowSinceMs < narrowMs) return true;
    }
    return false;
  }

  add(session: UpstreamSession): void {
    this.#taking.add(session);
  }

  /** The connections that accept calls or may again, as they are now. */
  taking(): readonly UpstreamSession[] {
    return [...this.#taking];
  }

  all(): readonly UpstreamSession[] {
    return [...this.#taking, ...this.#finishing];
  }

  /**
   * Lets a connection only finish its calls, and closes the oldest such connection beyond the bound. False: it was
   * finishing already.
   */
  finish(session: UpstreamSession): boolean {
    if (!this.#taking.delete(session)) return false;
    this.#finishing.add(session);
    const [oldest] = this.#finishing;
    if (this.#finishing.size > this.#options.finishingMaxPerTarget) oldest?.destroy();
    return true;
  }

  /** Forgets a connection that has closed. Returns whether it took calls until then. */
  remove(session: UpstreamSession): boolean {
    this.#finishing.delete(session);
    return this.#taking.delete(session);
  }
}
