import { generateKeyPairSync, sign } from "node:crypto";

const issuer = "https://accounts.shop.example";

/** An issuer of tokens for end users. */
export interface Accounts {
  readonly issuer: string;
  /** Its public keys, as a JWK set. */
  readonly jwks: string;
  /** Returns a token that is good for five minutes. */
  token(sub: string, roles: readonly string[]): string;
}

/** Creates an issuer with a fresh key, which signs its tokens. */
export function openAccounts(): Accounts {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
  return {
    issuer,
    jwks: JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "demo" }] }),
    token(sub, roles) {
      const claims = { iss: issuer, aud: "shop", sub, roles, exp: Math.floor(Date.now() / 1000) + 300 };
      const signed = `${encode({ alg: "ES256", kid: "demo" })}.${encode(claims)}`;
      const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
      return `${signed}.${signature.toString("base64url")}`;
    },
  };
}
