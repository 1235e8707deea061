/** Issuers of tokens, as the trust log states them. */

/** An issuer of tokens with the keys that sign them. */
export interface TrustedIssuer {
  /** The name of the JwtIssuer in policy. */
  readonly name: string;
  /** The value that the "iss" claim of its tokens must have, exactly. */
  readonly issuer: string;
  /** A JWK set as JSON, of public keys. */
  readonly jwks: string;
  /** The URL from which the keys are refreshed; "": they are not refreshed. */
  readonly jwksUrl: string;
  /** When these keys were read, in Unix milliseconds. */
  readonly fetchedMs: number;
  /** True if the URL may lead to a loopback, link-local or private address. */
  readonly allowPrivateAddress: boolean;
  /** The CA certificates that the URL's server is verified by, in PEM; "": the public CAs. */
  readonly jwksCa: string;
}
