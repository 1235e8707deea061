/** What a peer says sooner after its last word is not listened to. */
const heardEveryMs = 25;
const peersMax = 4096;

/** Bounds how often each peer is listened to. */
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
