/** Messages that arrive sooner than this after the last one of the same peer are ignored. */
const heardEveryMs = 25;
const peersMax = 4096;

/** Limits how often messages of each peer are processed. */
export class PeerPace {
  readonly #heardMs = new Map<string, number>();

  /** Returns whether `peer` may be listened to at `nowMs`; then it counts as heard. */
  allows(peer: string, nowMs: number): boolean {
    if (nowMs - (this.#heardMs.get(peer) ?? Number.NEGATIVE_INFINITY) < heardEveryMs) return false;
    if (this.#heardMs.size >= peersMax) this.#heardMs.clear();
    this.#heardMs.set(peer, nowMs);
    return true;
  }
}
