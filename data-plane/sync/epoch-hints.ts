/**
 * Handles hints of authenticated peers that the log has a newer epoch (docs/ARCHITECTURE.md). A hint is a reason to
 * read the log, never to choose a policy. All who wait share one read, and nobody waits longer than the bound. A peer
 * with a false hint can make nobody wait until the log is heard from again, and every peer may cause only a limited
 * number of reads.
 */
import type { Clock } from "../../runtime/clock.js";

export interface EpochHintsDeps {
  readonly clock: Clock;
  /** Returns the highest epoch that is known and acted on. */
  known(): number;
  /** Reads the head of the log; never rejects. */
  read(): Promise<void>;
}

const hintWaitMs = 250;
const pauseMs = 20;
const windowMs = 10_000;
const hintsPerWindowMax = 20;
const peersMax = 1024;

interface Waiter {
  readonly epoch: number;
  readonly untilMs: number;
  readonly done: () => void;
}

export class EpochHints {
  readonly #deps: EpochHintsDeps;
  readonly #doubted = new Set<string>();
  readonly #spent = new Map<string, { readonly sinceMs: number; count: number }>();
  readonly #shared = new Map<string, Promise<void>>();
  readonly #waiters = new Set<Waiter>();
  #polling = false;

  constructor(deps: EpochHintsDeps) {
    this.#deps = deps;
  }

  /** Resolves when `epoch` is known or after 250 ms. Resolves at once if the peer has given too many false hints. */
  hear(epoch: number, peer: string): Promise<void> {
    if (!Number.isSafeInteger(epoch) || epoch <= this.#deps.known()) return Promise.resolve();
    const key = `${peer} ${epoch}`;
    const shared = this.#shared.get(key);
    if (shared !== undefined) return shared;
    if (this.#doubted.has(peer) || !this.#maySpend(peer)) return Promise.resolve();
    const waiting = this.#wait(epoch).then(() => {
      this.#shared.delete(key);
      if (this.#deps.known() < epoch) this.#doubt(peer);
    });
    this.#shared.set(key, waiting);
    return waiting;
  }

  /** Notes that the log was heard from: every peer is believed again. */
  heard(): void {
    this.#doubted.clear();
  }

  #wait(epoch: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.add({ epoch, untilMs: this.#deps.clock.monotonicMs() + hintWaitMs, done: resolve });
      if (!this.#polling) void this.#poll();
    });
  }

  /** Reads until nobody waits any more; the bound holds even if a read hangs. */
  async #poll(): Promise<void> {
    this.#polling = true;
    const { clock, read } = this.#deps;
    let reading: Promise<void> | undefined;
    while (this.#waiters.size > 0) {
      reading ??= read().finally(() => {
        reading = undefined;
      });
      const pause = new AbortController();
      await Promise.race([reading, clock.sleep(hintWaitMs, pause.signal)]);
      pause.abort();
      this.#release();
      if (this.#waiters.size > 0) await clock.sleep(pauseMs);
      this.#release();
    }
    this.#polling = false;
  }

  #release(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const known = this.#deps.known();
    for (const waiter of this.#waiters) {
      if (waiter.epoch > known && nowMs < waiter.untilMs) continue;
      this.#waiters.delete(waiter);
      waiter.done();
    }
  }

  #doubt(peer: string): void {
    if (this.#doubted.size >= peersMax) this.#doubted.clear();
    this.#doubted.add(peer);
  }

  #maySpend(peer: string): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    const spent = this.#spent.get(peer);
    if (spent === undefined || nowMs - spent.sinceMs >= windowMs) {
      if (this.#spent.size >= peersMax) this.#spent.clear();
      this.#spent.set(peer, { sinceMs: nowMs, count: 1 });
      return true;
    }
    spent.count += 1;
    return spent.count <= hintsPerWindowMax;
  }
}
