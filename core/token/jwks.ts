/**
 * Key sets of token issuers (RFC 7517): the part of a key set that is stored, and its keys ready to verify signatures.
 */
import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { AshlarError, messageOf } from "../errors.js";

/** The most bytes of a key set, both as it is read and as it is stored. */
export const jwksBytesMax = 64 * 1024;
const keysMax = 64;
const rsaBitsMin = 2048;
const rsaBitsMax = 8192;
/** The most bytes of an RSA exponent: a large exponent makes verification slow. 65537 takes 3 bytes. */
const exponentBytesMax = 4;
const kidLengthMax = 256;
const rsaAlgorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const edAlgorithms = ["EdDSA", "Ed25519"];
const curves: Readonly<Record<string, string>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };
/** Members that only private and symmetric keys have (RFC 7518 6). */
const secretMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/** A key that verifies tokens. */
export interface TokenKey {
  /** The key id; undefined: the key has none. */
  readonly kid: string | undefined;
  /** The algorithms that the key may be used with. */
  readonly algorithms: readonly string[];
  readonly key: KeyObject;
}

export interface ReadJwks {
  /** The text that is stored: the usable keys with the members that verification needs. Equal sets give equal texts. */
  readonly text: string;
  readonly keys: readonly TokenKey[];
  /** Why keys were left out, one line each. */
  readonly ignored: readonly string[];
}

/**
 * Reads a key set. Keys of unknown types or with another use are left out, as RFC 7517 section 5 requires. Fails with
 * `invalid_argument` if the text is no key set, has no usable key, or has a private or symmetric key, which must not be
 * published; fails with `limit` above 64 KiB or 64 keys.
 */
export function readJwks(text: string): ReadJwks {
  const bytes = Buffer.byteLength(text);
  if (bytes > jwksBytesMax) throw new AshlarError("limit", `the key set has ${bytes} bytes, at most ${jwksBytesMax}`);
  const listed = listKeys(text);
  const kept: { readonly member: JsonWebKey; readonly key: TokenKey }[] = [];
  const ignored: string[] = [];
  for (const [index, item] of listed.entries()) {
    const what = nameOf(item, index);
    if (!isRecord(item)) {
      ignored.push(`${what} is no object`);
      continue;
    }
    if (item.kty === "oct" || secretMembers.some((member) => member in item))
      throw refused(
        `${what} is a private or symmetric key: give public keys alone, and replace that one at the issuer`,
      );
    const found = readKey(item);
    if (typeof found === "string") ignored.push(`${what} ${found}`);
    else kept.push(found);
  }
  if (kept.length === 0) {
    const why = ignored.length === 0 ? "it is empty" : ignored.slice(0, 5).join("; ");
    throw refused(`the key set has no key that can verify tokens: ${why}`);
  }
  const members = kept.map(({ member }) => JSON.stringify(member)).sort();
  return { text: `{"keys":[${[...new Set(members)].join(",")}]}`, keys: kept.map(({ key }) => key), ignored };
}

function listKeys(text: string): readonly unknown[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new AshlarError("invalid_argument", `the key set is not JSON: ${messageOf(cause).slice(0, 200)}`, { cause });
  }
  const keys = isRecord(parsed) ? parsed.keys : undefined;
  if (!Array.isArray(keys)) throw refused('the key set is no JWK set: expected {"keys": [...]}');
  if (keys.length > keysMax) throw new AshlarError("limit", `the key set has ${keys.length} keys, at most ${keysMax}`);
  return keys;
}

function refused(message: string): AshlarError {
  return new AshlarError("invalid_argument", message);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nameOf(item: unknown, index: number): string {
  const kid = isRecord(item) && typeof item.kid === "string" ? ` ${JSON.stringify(item.kid.slice(0, 64))}` : "";
  return `key ${index + 1}${kid}`;
}

/** Returns the key and the members that are stored of it, or a text that says why it is left out. */
function readKey(item: Readonly<Record<string, unknown>>): { member: JsonWebKey; key: TokenKey } | string {
  const { kid, use, alg, key_ops: operations } = item;
  if (kid !== undefined && (typeof kid !== "string" || kid.length > kidLengthMax))
    return `has a kid that is no text of at most ${kidLengthMax} characters`;
  if (use !== undefined && use !== "sig") return "is not for signatures (use)";
  if (Array.isArray(operations) && !operations.includes("verify")) return "is not for verifying (key_ops)";
  const shape = shapeOf(item);
  if (typeof shape === "string") return shape;
  if (alg !== undefined && !shape.algorithms.some((each) => each === alg))
    return `has the algorithm ${JSON.stringify(String(alg).slice(0, 32))}, which its kind of key is not used with here`;
  const algorithms = typeof alg === "string" ? [alg] : shape.algorithms;
  const member = {
    ...shape.member,
    ...(typeof alg === "string" ? { alg } : {}),
    ...(kid === undefined ? {} : { kid }),
  };
  try {
    const key = createPublicKey({ key: shape.member, format: "jwk" });
    const bits = key.asymmetricKeyDetails?.modulusLength;
    if (bits !== undefined && (bits < rsaBitsMin || bits > rsaBitsMax))
      return `has ${bits} bits, not ${rsaBitsMin} to ${rsaBitsMax}`;
    return { member, key: { kid, algorithms, key } };
  } catch {
    return "is not a valid public key";
  }
}

/** Returns the members that make the key, and the algorithms of such keys. */
function shapeOf({
  kty,
  crv,
  n,
  e,
  x,
  y,
}: Readonly<Record<string, unknown>>):
  | { readonly member: JsonWebKey; readonly algorithms: readonly string[] }
  | string {
  if (kty === "RSA") {
    if (typeof n !== "string" || typeof e !== "string") return "has no n and e";
    if (Buffer.from(e, "base64url").length > exponentBytesMax) return "has too large an exponent";
    return { member: { kty, n, e }, algorithms: rsaAlgorithms };
  }
  if (kty === "EC") {
    const algorithm = typeof crv === "string" && Object.hasOwn(curves, crv) ? curves[crv] : undefined;
    if (typeof crv !== "string" || algorithm === undefined) return "is on a curve that is not used here";
    if (typeof x !== "string" || typeof y !== "string") return "has no x and y";
    return { member: { kty, crv, x, y }, algorithms: [algorithm] };
  }
  if (kty === "OKP" && crv === "Ed25519" && typeof x === "string")
    return { member: { kty, crv, x }, algorithms: edAlgorithms };
  return "is of a kind that is not used here";
}
