/** The tokens of calls: taken from their headers, verified by what policy and trust say now. */

import type { JwtIssuer } from "../../core/kinds/jwt-issuer/jwt-issuer.js";
import type { ValueMap } from "../../core/policy/condition/values.js";
import { TokenCache } from "../../core/token/token-cache.js";
import type { TrustedIssuer } from "../../core/token/token-model.js";
import { buildTokenIssuers, TokenProblem, tokenBytesMax, type VerifiedToken } from "../../core/token/verify-token.js";
import { headerNames } from "../../core/wire/headers.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { EvaluatedPolicy, TrustView } from "../ports.js";

const bearer = /^bearer +/i;
/** Of the scheme with its spaces: a token that is kept keeps the whole header in memory. */
const schemeLengthMax = 64;
const several = new TokenProblem("there are several authorization headers, or several parts in one");

export class TokenCheck {
  readonly #trust: Pick<TrustView, "issuers">;
  readonly #service: string;
  /** What the cache and `#forwarded` go by: with any of it they go. */
  #policy: readonly JwtIssuer[] | undefined;
  #trusted: readonly TrustedIssuer[] | undefined;
  #cache = new TokenCache(new Map());
  /** The claims that the application is handed, by issuer. */
  #forwarded: ReadonlyMap<string, readonly string[]> = new Map();
  /** By the claims of a token. */
  #fields = new WeakMap<ValueMap, PreparedField>();

  /** `service`: the one whose application is handed claims. */
  constructor(trust: Pick<TrustView, "issuers">, service: string) {
    this.#trust = trust;
    this.#service = service;
  }

  /** Whether the application is handed claims, so that each call's token is looked at. */
  isForwarding({ issuers }: EvaluatedPolicy): boolean {
    this.#follow(issuers);
    return this.#forwarded.size > 0;
  }

  /**
   * The token in `authorization` (all such headers, joined with ","), verified as of `nowMs`; undefined: there is none.
   * Other schemes than Bearer hold none.
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

  /** What the application is told of the token with these claims; undefined: nothing. */
  claimsField(claims: ValueMap): PreparedField | undefined {
    return this.#fields.get(claims);
  }

  /** One field for all calls with the token. */
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
