/**
 * What proxies say they have seen of the logs beyond what the logs have. Such a word is no proof: it holds writes for
 * a bounded time in which the proxy can bear it out by signed bytes, once a proxy; afterwards it is told and counts no
 * more (decision 0014). Pure: time is handed in.
 */
import type { Digest } from "../../core/digest.js";
import type { OfferedLog } from "../../core/wire/offers.js";

/** The logs that proxies speak of. */
export type ClaimedLog = Exclude<OfferedLog, "rollouts">;

/** One proxy's word about one log. */
export interface SeenClaim {
  readonly proxyId: string;
  readonly log: ClaimedLog;
  /** Epoch, number or sequence. */
  readonly key: number;
  /** undefined: it is not said. */
  readonly digest: Digest | undefined;
}

/** What a log has. */
export interface KnownLog {
  /** The number of its head, 0 if it is empty. */
  headKey(log: ClaimedLog): number;
  digestAt(log: ClaimedLog, key: number): Digest | undefined;
}

interface Heard extends SeenClaim {
  readonly sinceMs: number;
}

/** So long a word that nothing bears out holds writes. */
export const holdMs = 20_000;
/** A proxy that said something that nobody bore out holds nothing for so long. */
const forgetMs = 24 * 3_600_000;
const claimsMax = 60_000; // three a proxy of the largest fleet

export class SeenClaims {
  readonly #known: KnownLog;
  /** By log and proxy: the highest word of each, from when it was first ahead. */
  readonly #heard = new Map<string, Heard>();

  constructor(known: KnownLog) {
    this.#known = known;
  }

  hear(claim: SeenClaim, nowMs: number): void {
    const id = `${claim.log} ${claim.proxyId}`;
    const before = this.#heard.get(id);
    if (before !== undefined && this.#isTrue(before)) this.#heard.delete(id);
    if (claim.key <= this.#known.headKey(claim.log)) return;
    const standing = this.#heard.get(id);
    if (standing !== undefined && standing.key >= claim.key) return;
    if (standing === undefined && this.#heard.size >= claimsMax) this.#forget(nowMs);
    if (standing === undefined && this.#heard.size >= claimsMax) return;
    this.#heard.set(id, { ...claim, sinceMs: standing?.sinceMs ?? nowMs });
  }

  /** Words ahead of the logs that hold writes now, of those that are older than `ageMs`. */
  holding(nowMs: number, ageMs = 0): readonly SeenClaim[] {
    return this.#ahead().filter(({ sinceMs }) => nowMs - sinceMs < holdMs && nowMs - sinceMs >= ageMs);
  }

  /** Returns whether a proxy says to have seen this very record. */
  isClaimed(log: ClaimedLog, key: number, digest: Digest): boolean {
    return this.#ahead().some(
      (heard) => heard.log === log && heard.key === key && (heard.digest === undefined || heard.digest === digest),
    );
  }

  /** Words ahead of the log that nothing has borne out in time. */
  unproven(nowMs: number): readonly SeenClaim[] {
    return this.#ahead().filter(({ sinceMs }) => nowMs - sinceMs >= holdMs);
  }

  #ahead(): Heard[] {
    const ahead: Heard[] = [];
    for (const [id, heard] of this.#heard) {
      if (this.#isTrue(heard)) this.#heard.delete(id);
      else if (heard.key > this.#known.headKey(heard.log)) ahead.push(heard);
    }
    return ahead;
  }

  /** The log has what was claimed. Only that clears a word: taking it back does not, or a liar could say it anew. */
  #isTrue({ log, key, digest }: SeenClaim): boolean {
    if (key > this.#known.headKey(log)) return false;
    return digest === undefined || this.#known.digestAt(log, key) === digest;
  }

  #forget(nowMs: number): void {
    for (const [id, { sinceMs }] of this.#heard) if (nowMs - sinceMs > forgetMs) this.#heard.delete(id);
  }
}
