/** Takes the tokens of calls from their headers and verifies them by the current policy and trust. */

import type { JwtIssuer } from "../../core/kinds/jwt-issuer/jwt-issuer.js";
import type { ValueMap } from "../../core/policy/condition/values.js";
import { TokenCache } from "../../core/token/token-cache.js";
import type { TrustedIssuer } from "../../core/token/token-model.js";
import { buildTokenIssuers, TokenProblem, tokenBytesMax, type VerifiedToken } from "../../core/token/verify-token.js";
import { headerNames } from "../../core/wire/headers.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { EvaluatedPolicy, TrustView } from "../ports.js";

const bearer = /^bearer +/i;
/** The most bytes of the scheme and its spaces: keeping a token keeps the whole header in memory. */
const schemeLengthMax = 64;
const several = new TokenProblem("there are several authorization headers, or several parts in one");

export class TokenCheck {
  readonly #trust: Pick<TrustView, "issuers">;
  readonly #service: string;
  /** The policy state that the cache and `#forwarded` depend on. Any change of it empties both. */
  #policy: readonly JwtIssuer[] | undefined;
  #trusted: readonly TrustedIssuer[] | undefined;
  #cache = new TokenCache(new Map());
  /** The names of the claims that the application receives, by issuer. */
  #forwarded: ReadonlyMap<string, readonly string[]> = new Map();
  /** The prepared header field for each token's claims. */
  #fields = new WeakMap<ValueMap, PreparedField>();

  /** `service`: the service whose application receives claims. */
  constructor(trust: Pick<TrustView, "issuers">, service: string) {
    this.#trust = trust;
    this.#service = service;
  }

  /** Whether the application receives claims, so that the token of every call is read. */
  isForwarding({ issuers }: EvaluatedPolicy): boolean {
    this.#follow(issuers);
    return this.#forwarded.size > 0;
  }

  /**
   * Returns the token in `authorization` (all such headers, joined with ","), verified as of `nowMs`, or undefined if
   * there is none or its scheme is not Bearer.
   */
  check(
    authorization: string | undefined,
    { issuers }: EvaluatedPolicy,
    nowMs: number,
  ): VerifiedToken | TokenProblem | undefined {
    if (authorization === undefined) return undefined;
    if (authorization.includes(",")) return several;
    const scheme = bearer.exec(authorization)?.[0];
    if (scheme === undefined) return undefined;
    if (scheme.length > schemeLengthMax) return new TokenProblem("too many spaces are before it");
    if (authorization.length - scheme.length > tokenBytesMax)
      return new TokenProblem(`it has more than ${tokenBytesMax} bytes`);
    this.#follow(issuers);
    const found = this.#cache.verify(authorization.slice(scheme.length), nowMs);
    if (this.#forwarded.size > 0 && !(found instanceof TokenProblem)) this.#prepareField(found);
    return found;
  }

  /** Returns the field that gives the application the claims of a token, or undefined if it receives none. */
  claimsField(claims: ValueMap): PreparedField | undefined {
    return this.#fields.get(claims);
  }

  /** Prepares the claims field of a token, which all calls with the token share. */
  #prepareField({ issuer, claims, json }: VerifiedToken): void {
    const names = this.#forwarded.get(issuer);
    if (names === undefined || this.#fields.has(claims)) return;
    const told = Object.fromEntries(names.flatMap((name) => (Object.hasOwn(json, name) ? [[name, json[name]]] : [])));
    const text = Buffer.from(JSON.stringify(told)).toString("base64url");
    this.#fields.set(claims, new PreparedField(headerNames.claims, text));
  }

  #follow(policy: readonly JwtIssuer[]): void {
    const { issuers: trusted } = this.#trust;
    if (policy === this.#policy && trusted === this.#trusted) return;
    this.#policy = policy;
    this.#trusted = trusted;
    this.#cache = new TokenCache(buildTokenIssuers(policy, trusted));
    this.#fields = new WeakMap();
    this.#forwarded = new Map(
      policy.flatMap(({ name, forwardClaims }) =>
        forwardClaims?.to.includes(this.#service) === true ? [[name, forwardClaims.claims]] : [],
      ),
    );
  }
}
