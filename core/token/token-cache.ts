/** Tokens that were verified, until they expire, and some that are forged: bounded, and a flood of bad ones evicts no good one. */
import { createHash } from "node:crypto";
import { BoundedMap } from "../bounded-map.js";
import { type TokenIssuers, TokenProblem, type VerifiedToken, verifyToken } from "./verify-token.js";

interface Verified {
  readonly token: string;
  readonly verified: VerifiedToken;
}

export interface TokenCacheBounds {
  /** Verified tokens that are kept, at most; and the bytes of all of them. */
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

/** A token is found by the end of its signature, and then compared as a whole: a digest would cost more than that. */
const keyLength = 40;

/** Verifies tokens by one set of issuers; another set needs another cache. */
export class TokenCache {
  readonly #issuers: TokenIssuers;
  readonly #bounds: TokenCacheBounds;
  /** Two generations: what was asked for lately is in the young one; the old one goes as a whole. */
  #young = new Map<string, Verified>();
  #old = new Map<string, Verified>();
  #youngBytes = 0;
  /** Until when, by the token's digest; oldest first. */
  readonly #forged: BoundedMap<string, number>;

  constructor(issuers: TokenIssuers, bounds = tokenCacheBounds) {
    this.#issuers = issuers;
    this.#bounds = bounds;
    this.#forged = new BoundedMap(bounds.forgedMax);
  }

  /** Verified tokens that are kept. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Bad tokens that are kept. */
  get forged(): number {
    return this.#forged.size;
  }

  /** What `verifyToken` says as of `nowMs`, Unix milliseconds; known tokens are not verified again. */
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
