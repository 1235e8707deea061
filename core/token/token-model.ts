/** Issuers of tokens: what policy says of one, and what the trust log does. */

/** Whose tokens are taken, and what has to be in them; its URL and keys are in the trust log under the same name. */
export interface JwtIssuer {
  readonly kind: "JwtIssuer";
  readonly name: string;
  /** A token has to be meant for one of these; sorted, not empty. */
  readonly audiences: readonly string[];
  /** Claims that have to be there and not null; sorted. */
  readonly requiredClaims: readonly string[];
  /** Services whose applications are handed `claims` of verified tokens; both sorted, not empty. Left out: none. */
  readonly forwardClaims?: { readonly to: readonly string[]; readonly claims: readonly string[] } | undefined;
}

/** An issuer of tokens with the keys that sign them. */
export interface TrustedIssuer {
  /** As policy names it. */
  readonly name: string;
  /** Its "iss" claim, exactly. */
  readonly issuer: string;
  /** A JWK set as JSON, of public keys. */
  readonly jwks: string;
  /** Where the keys are read again; "": nowhere. */
  readonly jwksUrl: string;
  /** When these keys were read. */
  readonly fetchedMs: number;
  /** The URL may lead to a loopback, link-local or private address. */
  readonly allowPrivateAddress: boolean;
  /** PEM that the URL's server is verified by; "": the public certificates. */
  readonly jwksCa: string;
}
