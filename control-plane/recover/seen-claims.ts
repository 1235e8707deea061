/**
 * Claims of proxies that they have seen more of the logs than the logs have. A claim is no proof. It blocks writes for
 * a bounded time, once for each proxy, in which the proxy can prove it with signed bytes; afterwards it is only
 * reported (decision 0014). Pure: time is handed in.
 */
import type { Digest } from "../../core/digest.js";
import type { OfferedLog } from "../../core/wire/offers.js";

/** The logs about which proxies make claims. */
export type ClaimedLog = Exclude<OfferedLog, "rollouts">;

/** One proxy's claim about one log. */
export interface SeenClaim {
  readonly proxyId: string;
  readonly log: ClaimedLog;
  /** The claimed epoch, number or sequence. */
  readonly key: number;
  /** The claimed digest; undefined: it is not stated. */
  readonly digest: Digest | undefined;
}

/** What a log has. */
export interface KnownLog {
  /** Returns the number of its head, or 0 if it is empty. */
  headKey(log: ClaimedLog): number;
  digestAt(log: ClaimedLog, key: number): Digest | undefined;
}

interface Heard extends SeenClaim {
  readonly sinceMs: number;
}

/** The milliseconds for which an unproven claim blocks writes. */
export const holdMs = 20_000;
/** The milliseconds for which a proxy whose claim nobody proved cannot block writes again. */
const forgetMs = 24 * 3_600_000;
const claimsMax = 60_000; // three for each proxy of the largest fleet

export class SeenClaims {
  readonly #known: KnownLog;
  /** The highest claim by log and proxy, from when it was first ahead. */
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

  /** Returns the claims ahead of the logs that block writes now and are older than `ageMs`. */
  holding(nowMs: number, ageMs = 0): readonly SeenClaim[] {
    return this.#ahead().filter(({ sinceMs }) => nowMs - sinceMs < holdMs && nowMs - sinceMs >= ageMs);
  }

  /** Returns whether a proxy says to have seen this very record. */
  isClaimed(log: ClaimedLog, key: number, digest: Digest): boolean {
    return this.#ahead().some(
      (heard) => heard.log === log && heard.key === key && (heard.digest === undefined || heard.digest === digest),
    );
  }

  /** Returns the claims ahead of the log that nothing has proved in time. */
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

  /**
   * Returns whether the log has what was claimed. Only that clears a claim; if withdrawing it did, a liar could repeat
   * it.
   */
  #isTrue({ log, key, digest }: SeenClaim): boolean {
    if (key > this.#known.headKey(log)) return false;
    return digest === undefined || this.#known.digestAt(log, key) === digest;
  }

  #forget(nowMs: number): void {
    for (const [id, { sinceMs }] of this.#heard) if (nowMs - sinceMs > forgetMs) this.#heard.delete(id);
  }
}
