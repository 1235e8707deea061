/**
 * Caches verified tokens until they expire, and some forged ones. It is bounded, and a flood of forged tokens evicts no
 * verified one.
 */
import { createHash } from "node:crypto";
import { BoundedMap } from "../bounded-map.js";
import { type TokenIssuers, TokenProblem, type VerifiedToken, verifyToken } from "./verify-token.js";

interface Verified {
  readonly token: string;
  readonly verified: VerifiedToken;
}

export interface TokenCacheBounds {
  /** The most verified tokens that are kept, and the most bytes of all of them. */
  readonly tokensMax: number;
  readonly bytesMax: number;
  readonly forgedMax: number;
  readonly forgedMs: number;
}

export const tokenCacheBounds: TokenCacheBounds = {
  tokensMax: 10_000,
  bytesMax: 16 * 1024 * 1024,
  forgedMax: 1000,
  forgedMs: 10_000,
};

/**
 * The length of a cache key. A token is found by the end of its signature and then compared as a whole; a digest would
 * cost more than the comparison.
 */
const keyLength = 40;

/** Verifies tokens by one set of issuers; another set needs another cache. */
export class TokenCache {
  readonly #issuers: TokenIssuers;
  readonly #bounds: TokenCacheBounds;
  /**
   * Two generations of verified tokens: the young one holds those that were used recently; the old one is dropped as a
   * whole.
   */
  #young = new Map<string, Verified>();
  #old = new Map<string, Verified>();
  #youngBytes = 0;
  /** For each forged token, by its digest, the time until which it is remembered; oldest first. */
  readonly #forged: BoundedMap<string, number>;

  constructor(issuers: TokenIssuers, bounds = tokenCacheBounds) {
    this.#issuers = issuers;
    this.#bounds = bounds;
    this.#forged = new BoundedMap(bounds.forgedMax);
  }

  /** The number of verified tokens in the cache. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** The number of forged tokens in the cache. */
  get forged(): number {
    return this.#forged.size;
  }

  /** Returns what `verifyToken` returns for `nowMs`, in Unix milliseconds. A cached token is not verified again. */
  verify(token: string, nowMs: number): VerifiedToken | TokenProblem {
    const key = token.slice(-keyLength);
    const known = this.#young.get(key) ?? this.#promote(key);
    if (known?.token === token) {
      const { verified } = known;
      if (nowMs >= verified.fromMs && nowMs < verified.untilMs) return verified;
    }
    const found = this.#verifyNew(token, nowMs);
    if (!(found instanceof TokenProblem)) this.#keep(key, { token, verified: found });
    return found;
  }

  #verifyNew(token: string, nowMs: number): VerifiedToken | TokenProblem {
    if (this.#forged.size === 0) return this.#noteForged(token, undefined, nowMs);
    const digest = digestOf(token);
    const untilMs = this.#forged.get(digest);
    if (untilMs !== undefined && nowMs < untilMs) return knownForged;
    return this.#noteForged(token, digest, nowMs);
  }

  #noteForged(token: string, digest: string | undefined, nowMs: number): VerifiedToken | TokenProblem {
    const found = verifyToken(token, this.#issuers, nowMs);
    if (!(found instanceof TokenProblem) || !found.isForged) return found;
    this.#forged.set(digest ?? digestOf(token), nowMs + this.#bounds.forgedMs);
    return found;
  }

  #promote(key: string): Verified | undefined {
    const found = this.#old.get(key);
    if (found === undefined) return undefined;
    this.#old.delete(key);
    this.#keep(key, found);
    return found;
  }

  #keep(key: string, entry: Verified): void {
    const before = this.#young.get(key);
    if (before !== undefined) this.#youngBytes -= before.token.length;
    const { tokensMax, bytesMax } = this.#bounds;
    if (this.#young.size >= tokensMax / 2 || this.#youngBytes + entry.token.length > bytesMax / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, entry);
    this.#youngBytes += entry.token.length;
  }
}

const knownForged = new TokenProblem("its signature is not by a key of its issuer, as a moment ago", true);

function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
