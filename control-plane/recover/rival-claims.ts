/**
 * Claims of proxies that they have seen another record under a number than the log has. A claim is no proof. It blocks
 * writes for a bounded time, once for each proxy, in which the proxy can show the record (decision 0031). Pure.
 */
import type { Digest } from "../../core/digest.js";
import { type ClaimedLog, holdMs, type SeenClaim } from "./seen-claims.js";

export interface RivalClaim extends SeenClaim {
  readonly digest: Digest;
}

export interface ContestedLogs {
  /** Returns the digest of the record with this number; undefined: the log has none. */
  digestAt(log: ClaimedLog, key: number): Digest | undefined;
  /** Returns whether the record was shown, whatever became of it. */
  has(log: ClaimedLog, digest: Digest): boolean;
}

interface Heard extends RivalClaim {
  readonly sinceMs: number;
}

const claimsMax = 40_000; // two for each proxy of the largest fleet

export class RivalClaims {
  readonly #known: ContestedLogs;
  readonly #heard = new Map<string, Heard>();

  constructor(known: ContestedLogs) {
    this.#known = known;
  }

  hear({ digest, ...claim }: SeenClaim, nowMs: number): void {
    const held = this.#known.digestAt(claim.log, claim.key);
    if (digest === undefined || held === undefined || held === digest || this.#known.has(claim.log, digest)) return;
    const id = `${claim.log} ${claim.proxyId}`;
    const standing = this.#heard.get(id);
    if (standing === undefined && this.#heard.size >= claimsMax) return;
    this.#heard.set(id, { ...claim, digest, sinceMs: standing?.sinceMs ?? nowMs });
  }

  /** Returns the claims that block writes now, and those that nobody proved in time. */
  list(nowMs: number): { readonly holding: readonly RivalClaim[]; readonly unproven: readonly RivalClaim[] } {
    const open = [...this.#heard.values()].filter(
      ({ log, key, digest }) => this.#known.digestAt(log, key) !== digest && !this.#known.has(log, digest),
    );
    return {
      holding: open.filter(({ sinceMs }) => nowMs - sinceMs < holdMs),
      unproven: open.filter(({ sinceMs }) => nowMs - sinceMs >= holdMs),
    };
  }
}
