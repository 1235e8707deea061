/** An issuer of tokens with its own keys. It also makes tokens that no honest issuer would. */

import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { JwtIssuer } from "../../core/kinds/jwt-issuer/jwt-issuer.js";
import type { TrustedIssuer } from "../../core/token/token-model.js";

type Json = Readonly<Record<string, unknown>>;

export interface TestTokenKey {
  readonly kid: string | undefined;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export const nowSeconds = 1_800_000_000;
export const nowMs = nowSeconds * 1000;

const made = {
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  ES512: () => generateKeyPairSync("ec", { namedCurve: "P-521" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
} as const;

export function makeTokenKey(alg: keyof typeof made = "ES256", kid: string | undefined = "k1"): TestTokenKey {
  return { kid, alg, ...made[alg]() };
}

/** Returns base64url of a text, or of any other value as JSON. */
export function encode(part: unknown): string {
  return Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
}

export function signBytes(alg: string, data: string, key: KeyObject): string {
  const bytes = Buffer.from(data);
  if (alg.startsWith("Ed")) return sign(null, bytes, key).toString("base64url");
  const hash = `sha${alg.slice(2)}`;
  const options = alg.startsWith("ES")
    ? { key, dsaEncoding: "ieee-p1363" as const }
    : alg.startsWith("PS")
      ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : { key };
  return sign(hash, bytes, options).toString("base64url");
}

export class TestTokenIssuer {
  readonly name: string;
  readonly issuer: string;
  keys: readonly TestTokenKey[];

  constructor(name = "accounts", keys: readonly TestTokenKey[] = [makeTokenKey()]) {
    this.name = name;
    this.issuer = `https://${name}.example`;
    this.keys = keys;
  }

  /** Returns claims that are valid for five minutes, for audience "shop". */
  claims(more: Json = {}, seconds = nowSeconds): Json {
    return { iss: this.issuer, aud: "shop", sub: "ann", iat: seconds, exp: seconds + 300, ...more };
  }

  /** Returns a token with these claims. `header` is added to the header of the first key. */
  token(more: Json = {}, header: Json = {}, key: TestTokenKey | undefined = this.keys[0], seconds?: number): string {
    if (key === undefined) throw new Error("an issuer without keys");
    return this.raw(
      { alg: key.alg, ...(key.kid === undefined ? {} : { kid: key.kid }), ...header },
      key,
      this.claims(more, seconds),
    );
  }

  raw(header: Json, key: TestTokenKey, claims: Json): string {
    const signed = `${encode(header)}.${encode(claims)}`;
    return `${signed}.${signBytes(String(header.alg), signed, key.privateKey)}`;
  }

  /** Returns a token that is signed by HMAC with `secret`. */
  symmetric(secret: string | Buffer, header: Json = {}): string {
    const signed = `${encode({ alg: "HS256", ...header })}.${encode(this.claims())}`;
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  }

  jwk({ publicKey, kid }: TestTokenKey): Json {
    return { ...publicKey.export({ format: "jwk" }), ...(kid === undefined ? {} : { kid }) };
  }

  jwks(): string {
    return JSON.stringify({ keys: this.keys.map((key) => this.jwk(key)) });
  }

  get trusted(): TrustedIssuer {
    const { name, issuer } = this;
    return { name, issuer, jwks: this.jwks(), jwksUrl: "", fetchedMs: 0, allowPrivateAddress: false, jwksCa: "" };
  }

  policy(more: Partial<JwtIssuer> = {}): JwtIssuer {
    return { kind: "JwtIssuer", name: this.name, audiences: ["shop"], requiredClaims: ["sub"], ...more };
  }
}
