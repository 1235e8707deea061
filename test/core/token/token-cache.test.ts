import { describe, expect, test } from "@jest/globals";
import { TokenCache, tokenCacheBounds } from "../../../core/token/token-cache.js";
import { buildTokenIssuers, TokenProblem } from "../../../core/token/verify-token.js";
import { makeTokenKey, nowMs, nowSeconds, TestTokenIssuer } from "../../support/token-issuer.js";

const issuer = new TestTokenIssuer();
const issuers = buildTokenIssuers([issuer.policy()], [issuer.trusted]);

function cacheOf(bounds = {}): TokenCache {
  return new TokenCache(issuers, { ...tokenCacheBounds, ...bounds });
}

describe("the cache of tokens", () => {
  test("gives the same verdict object until the token expires", () => {
    const cache = cacheOf();
    const token = issuer.token({ exp: nowSeconds });
    const first = cache.verify(token, nowMs);
    expect(first).not.toBeInstanceOf(TokenProblem);
    expect(cache.verify(token, nowMs + 29_000)).toBe(first);
    expect(cache.verify(token, nowMs + 30_000)).toBeInstanceOf(TokenProblem);
    expect(cache.verify(token, nowMs)).toBe(first);
  });

  test("is not taken in by a token with the same end", () => {
    const cache = cacheOf();
    const token = issuer.token();
    cache.verify(token, nowMs);
    const [header, , signature] = issuer.token({ sub: "eve" }).split(".");
    const mixed = `${header}.${token.split(".")[1]}.${signature}`;
    const [, payload] = issuer.token({ sub: "eve" }).split(".");
    const stolen = `${header}.${payload}.${token.split(".")[2]}`;
    for (const forged of [mixed, stolen]) expect(cache.verify(forged, nowMs)).toBeInstanceOf(TokenProblem);
    expect(cache.verify(token, nowMs)).not.toBeInstanceOf(TokenProblem);
  });

  test("holds so many tokens and bytes at most (I8), and keeps what is asked for", () => {
    const cache = cacheOf({ tokensMax: 20 });
    const kept = issuer.token({ sub: "kept" });
    const first = cache.verify(kept, nowMs);
    for (let index = 0; index < 50; index += 1) {
      cache.verify(issuer.token({ sub: `user-${index}` }), nowMs);
      expect(cache.size).toBeLessThanOrEqual(20);
      expect(cache.verify(kept, nowMs)).toBe(first);
    }
    const small = cacheOf({ bytesMax: 4 * kept.length });
    for (let index = 0; index < 20; index += 1) small.verify(issuer.token({ sub: `user-${index}` }), nowMs);
    expect(small.size).toBeLessThanOrEqual(4);
  });

  test("is not emptied by a flood of forged tokens, of which it remembers some for a while", () => {
    const cache = cacheOf({ forgedMax: 10 });
    const good = issuer.token();
    const first = cache.verify(good, nowMs);
    const stranger = makeTokenKey();
    const [one = ""] = Array.from({ length: 30 }, (_, index) => {
      const forged = issuer.token({ sub: `eve-${index}` }, {}, stranger);
      expect(cache.verify(forged, nowMs)).toBeInstanceOf(TokenProblem);
      return forged;
    }).slice(-1);
    expect([cache.size, cache.forged]).toEqual([1, 10]);
    expect(cache.verify(good, nowMs)).toBe(first);
    expect(cache.verify(one, nowMs + 1)).toMatchObject({ reason: expect.stringMatching(/a moment ago/) });
    expect(cache.verify(one, nowMs + 10_000)).toMatchObject({ reason: expect.not.stringMatching(/a moment ago/) });
  });

  test("remembers nothing of tokens that are bad for another reason than their signature", () => {
    const cache = cacheOf();
    for (const bad of [issuer.token({ aud: "bank" }), issuer.token({ nbf: nowSeconds + 60 }), "x"])
      cache.verify(bad, nowMs);
    expect([cache.size, cache.forged]).toEqual([0, 0]);
  });
});
