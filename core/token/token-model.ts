/** Issuers of tokens: what policy says of one, and what the trust log does. */

/** An issuer of tokens with the keys that sign them. */
export interface TrustedIssuer {
  /** The name of the JwtIssuer in policy. */
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
