/**
 * Verifies tokens (JWT, RFC 7519, as JWS in compact form) by the issuers that policy names and the keys that the trust
 * log has of them. Everything that RFC 8725 warns of is refused. Nothing is fetched.
 */

import { constants, type KeyObject, verify } from "node:crypto";
import type { JwtIssuer } from "../kinds/jwt-issuer/jwt-issuer.js";
import type { ValueMap } from "../policy/condition/values.js";
import { claimsOf } from "./claims.js";
import { readJwks, type TokenKey } from "./jwks.js";
import type { TrustedIssuer } from "./token-model.js";

/** The most bytes of a token. */
export const tokenBytesMax = 8 * 1024;
/** The most milliseconds by which the clocks of an issuer and a proxy may differ. */
export const clockToleranceMs = 30_000;
/** The most keys that are tried: those with the token's kid or, if it names none, those that fit its algorithm. */
export const keysTriedMax = 8;

/** An issuer whose tokens are accepted, with its keys ready to verify. */
export interface TokenIssuer {
  readonly policy: JwtIssuer;
  readonly keys: readonly TokenKey[];
}

/** Issuers by their "iss" claim. Each issuer has its own keys, so no issuer can sign for another (RFC 8725 2.8). */
export type TokenIssuers = ReadonlyMap<string, TokenIssuer>;

export interface VerifiedToken {
  /** The issuer's name in policy. */
  readonly issuer: string;
  readonly claims: ValueMap;
  /** The claims as parsed JSON. */
  readonly json: Readonly<Record<string, unknown>>;
  /** The token is valid while from <= now < until, in Unix milliseconds with the tolerance included. */
  readonly fromMs: number;
  readonly untilMs: number;
}

export class TokenProblem {
  /** The reason for operators; it never contains the token's signature. */
  readonly reason: string;
  /** True if the signature was checked and is wrong: the token can never become valid under these keys. */
  readonly isForged: boolean;

  constructor(reason: string, isForged = false) {
    this.reason = reason;
    this.isForged = isForged;
  }
}

type Json = Readonly<Record<string, unknown>>;

const tokenForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const headersRefused = ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip"];
const typesTaken: ReadonlySet<string> = new Set(["jwt", "at+jwt", "application/jwt", "application/at+jwt"]);

/**
 * Builds the issuers that `policy` states and for which the mesh has keys. An issuer whose key set cannot be read gets
 * no keys, so its tokens are refused.
 */
export function buildTokenIssuers(policy: readonly JwtIssuer[], trusted: readonly TrustedIssuer[]): TokenIssuers {
  const byName = new Map(trusted.map((issuer) => [issuer.name, issuer]));
  const issuers = new Map<string, TokenIssuer>();
  for (const one of policy) {
    const keys = byName.get(one.name);
    if (keys !== undefined) issuers.set(keys.issuer, { policy: one, keys: keysOf(keys.jwks) });
  }
  return issuers;
}

function keysOf(jwks: string): readonly TokenKey[] {
  try {
    return readJwks(jwks).keys;
  } catch {
    return [];
  }
}

/** Verifies a token as of `nowMs`, Unix milliseconds. Never throws. */
export function verifyToken(token: string, issuers: TokenIssuers, nowMs: number): VerifiedToken | TokenProblem {
  if (token.length > tokenBytesMax)
    return new TokenProblem(`it has ${token.length} bytes, at most ${tokenBytesMax} are read`);
  if (!tokenForm.test(token)) return new TokenProblem("it is no JWS in compact form");
  const [header64 = "", payload64 = "", signature64 = ""] = token.split(".");
  const header = parseJson(header64);
  const json = parseJson(payload64);
  if (header === undefined || json === undefined) return new TokenProblem("its header or payload is no JSON object");
  const found = findIssuer(json, issuers);
  if (found instanceof TokenProblem) return found;
  const checked = checkClaims(json, found.policy, nowMs);
  if (checked instanceof TokenProblem) return checked;
  const problem = checkHeader(header) ?? checkSignature(header, found.keys, `${header64}.${payload64}`, signature64);
  if (problem !== undefined) return problem;
  const claims = claimsOf(json);
  if (claims === undefined) return new TokenProblem("its claims are too deep or too many");
  return { issuer: found.policy.name, claims, json, ...checked };
}

/** Decodes a JSON object from strict base64url. Returns undefined if the text is not canonical or no JSON object. */
function parseJson(text64: string): Json | undefined {
  const bytes = Buffer.from(text64, "base64url");
  if (bytes.toString("base64url") !== text64) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

function findIssuer({ iss }: Json, issuers: TokenIssuers): TokenIssuer | TokenProblem {
  if (typeof iss !== "string") return new TokenProblem("it names no issuer (iss)");
  const issuer = issuers.get(iss);
  return issuer ?? new TokenProblem(`its issuer ${JSON.stringify(iss.slice(0, 128))} is not one of the mesh's`);
}

/** Checks the claims. Returns the times between which the token is valid, or a problem. */
function checkClaims(
  json: Json,
  { name, audiences, requiredClaims }: JwtIssuer,
  nowMs: number,
): Pick<VerifiedToken, "fromMs" | "untilMs"> | TokenProblem {
  const { aud, exp, nbf = 0, iat = 0 } = json;
  const meant = typeof aud === "string" ? [aud] : Array.isArray(aud) ? aud : [];
  if (!meant.some((one) => audiences.some((audience) => audience === one)))
    return new TokenProblem(`it is meant for nobody that issuer ${name} states (aud)`);
  if (!isTime(exp)) return new TokenProblem("it has no time of expiry (exp)");
  if (!isTime(nbf) || !isTime(iat)) return new TokenProblem("nbf or iat is no time");
  const missing = requiredClaims.find((claim) => !Object.hasOwn(json, claim) || json[claim] === null);
  if (missing !== undefined) return new TokenProblem(`it has no ${missing}, which issuer ${name} requires`);
  const times = { fromMs: nbf * 1000 - clockToleranceMs, untilMs: exp * 1000 + clockToleranceMs };
  if (nowMs >= times.untilMs) return new TokenProblem("it has expired");
  return nowMs < times.fromMs ? new TokenProblem("it is not good yet (nbf)") : times;
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && Math.abs(value) < 1e12;
}

function checkHeader(header: Json): TokenProblem | undefined {
  const bad = headersRefused.find((name) => Object.hasOwn(header, name));
  if (bad !== undefined) return new TokenProblem(`its header has ${bad}, which is not taken`);
  const { typ, kid } = header;
  if (typ !== undefined && (typeof typ !== "string" || !typesTaken.has(typ.toLowerCase())))
    return new TokenProblem("it is of another type (typ)");
  if (kid !== undefined && typeof kid !== "string") return new TokenProblem("its kid is no text");
  return undefined;
}

/** Checks the signature. The key decides which algorithms it may verify, never the token's header alone. */
function checkSignature(
  { alg, kid }: Json,
  keys: readonly TokenKey[],
  signed: string,
  signature64: string,
): TokenProblem | undefined {
  const fitting = keys.filter(({ algorithms }) => algorithms.some((each) => each === alg));
  const named = kid === undefined ? fitting : fitting.filter((key) => key.kid === kid);
  if (named.length === 0)
    return new TokenProblem(
      `its issuer has no key ${describeKid(kid)} for ${JSON.stringify(String(alg).slice(0, 16))}`,
    );
  const signature = Buffer.from(signature64, "base64url");
  const data = Buffer.from(signed);
  for (const { key } of named.slice(0, keysTriedMax)) if (isSigned(String(alg), data, key, signature)) return undefined;
  const untried = named.length - keysTriedMax;
  return untried > 0
    ? new TokenProblem(
        `its signature is not by the first ${keysTriedMax} keys that fit; ${untried} were not tried`,
        true,
      )
    : new TokenProblem("its signature is not by a key of its issuer", true);
}

function describeKid(kid: unknown): string {
  return typeof kid === "string" ? JSON.stringify(kid.slice(0, 64)) : "without a name";
}

/**
 * Verifies a signature by RFC 7518 section 3 and RFC 8037 section 3.1. It is synchronous: WebCrypto takes three times
 * the CPU.
 */
function isSigned(alg: string, data: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    const family = alg.slice(0, 2);
    if (family === "Ed") return verify(null, data, key, signature);
    const hash = `sha${alg.slice(2)}`;
    if (family === "ES") return verify(hash, data, { key, dsaEncoding: "ieee-p1363" }, signature);
    if (family === "RS") return verify(hash, data, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
    const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
    return verify(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
  } catch {
    return false;
  }
}
