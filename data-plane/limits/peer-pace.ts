/** Milliseconds after a peer's message within which a further one is ignored. */
const heardEveryMs = 25;
const peersMax = 4096;

/** Limits how often messages of each peer are processed. */
export class PeerPace {
  readonly #heardMs = new Map<string, number>();

  /** Returns whether a message of `peer` may be processed at `nowMs`, and if so notes it. */
  allows(peer: string, nowMs: number): boolean {
    if (nowMs - (this.#heardMs.get(peer) ?? Number.NEGATIVE_INFINITY) < heardEveryMs) return false;
    if (this.#heardMs.size >= peersMax) this.#heardMs.clear();
    this.#heardMs.set(peer, nowMs);
    return true;
  }
}
