/**
 * Signed records: JWS in compact form (RFC 7515) with Ed25519 (RFC 8037) and a
 * protected header of exactly {alg, typ, mesh, kid}. Any JOSE library verifies
 * them; here they are checked synchronously over the bytes as received, before
 * anything of the payload is parsed (I3).
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type Digest, digestOf } from "./digest.js";
import { AshlarError } from "./errors.js";

const recordTypes = [
  "ashlar-revision",
  "ashlar-activation",
  "ashlar-rollout",
  "ashlar-trust",
  "ashlar-freshness",
  "ashlar-audit-head",
  "ashlar-approval",
  "ashlar-journal-resolution",
  "ashlar-journal-let-go",
  "ashlar-journal-seal",
  "ashlar-journal-imported",
  "ashlar-look",
  "ashlar-prepare",
] as const;
export type RecordType = (typeof recordTypes)[number];

/** Signs bytes with one Ed25519 key. */
export interface Signer {
  readonly kid: string;
  sign(bytes: Uint8Array): Uint8Array;
}

/** The public keys that are trusted in advance, by key id. */
export type KeySet = ReadonlyMap<string, KeyObject>;

/**
 * Returns whether a verified record names this digest. A record that is named so is authentic even after its signing
 * key was dropped.
 */
export type IsNamed = (digest: Digest) => boolean;

/** A record whose signature was verified; its payload is not parsed yet. */
export interface VerifiedRecord {
  readonly payload: Uint8Array;
  readonly kid: string;
}

const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex"); // RFC 8410: Ed25519 SubjectPublicKeyInfo
const recordBytesMax = 1024 * 1024;
const headerBytesMax = 4096;

/** Returns an Ed25519 public key from its 32 bytes; fails with `invalid_record`. */
export function publicKeyFromBytes(bytes: Uint8Array): KeyObject {
  if (bytes.length !== 32)
    throw new AshlarError("invalid_record", `an Ed25519 public key has 32 bytes, not ${bytes.length}`);
  return createPublicKey({ key: Buffer.concat([spkiPrefix, bytes]), format: "der", type: "spki" });
}

/** Returns the 32 bytes of an Ed25519 public key, or of the public half of a private key. */
export function publicKeyToBytes(key: KeyObject): Uint8Array {
  const half = key.type === "private" ? createPublicKey(key) : key;
  return new Uint8Array(half.export({ format: "der", type: "spki" }).subarray(spkiPrefix.length));
}

/** Returns the key id: the RFC 7638 thumbprint of the public key as an OKP JWK (RFC 8037 appendix A.3). */
export function keyIdOf(publicKey: Uint8Array): string {
  const x = Buffer.from(publicKey).toString("base64url");
  return createHash("sha256").update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest("base64url");
}

/** Returns a signer with the Ed25519 key `privateKey`. */
export function createSigner(privateKey: KeyObject): Signer {
  const kid = keyIdOf(publicKeyToBytes(privateKey));
  return { kid, sign: (bytes) => new Uint8Array(sign(null, bytes, privateKey)) };
}

/** Signs `payload` as a record of this type and mesh. */
export function signRecord(type: RecordType, mesh: string, payload: Uint8Array, signer: Signer): Uint8Array {
  const header = Buffer.from(JSON.stringify({ alg: "EdDSA", typ: type, mesh, kid: signer.kid })).toString("base64url");
  const input = `${header}.${Buffer.from(payload).toString("base64url")}`;
  const signature = Buffer.from(signer.sign(Buffer.from(input, "ascii"))).toString("base64url");
  return new Uint8Array(Buffer.from(`${input}.${signature}`, "ascii"));
}

/**
 * Checks envelope, type, mesh, key and signature, in this order, and returns the payload unparsed. Fails with
 * `invalid_record`. An unknown key id fails with `unauthenticated`, so that a reader can read the trust log and try
 * again. If the key is unknown, a digest for which `isNamed` holds replaces the signature: that accepts a record whose
 * key has been dropped since.
 */
export function verifyRecord(
  bytes: Uint8Array,
  type: RecordType,
  mesh: string,
  keys: KeySet,
  isNamed: IsNamed = () => false,
): VerifiedRecord {
  if (bytes.length > recordBytesMax) throw refused(type, `${bytes.length} bytes, at most ${recordBytesMax} are read`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  const parts = text.split(".", 4);
  const [header = "", payload = "", signature = ""] = parts;
  if (parts.length !== 3) throw refused(type, "not a signed record (JWS in compact form)");
  if (signature === "") throw refused(type, "the signature is missing");
  if (header.length > headerBytesMax)
    throw refused(type, `the protected header has ${header.length} bytes, at most ${headerBytesMax} are read`);
  const { kid } = parseHeader(decodePart(header, type), type, mesh);
  const key = keys.get(kid);
  if (key === undefined) {
    if (isNamed(digestOf(bytes))) return { payload: new Uint8Array(decodePart(payload, type)), kid };
    throw new AshlarError("unauthenticated", `${type}: signed by a key that is not trusted: ${kid.slice(0, 64)}`);
  }
  const signed = Buffer.from(text.slice(0, header.length + 1 + payload.length), "latin1");
  if (!verify(null, signed, key, decodePart(signature, type)))
    throw refused(type, "the signature does not hold (bad_signature)");
  return { payload: new Uint8Array(decodePart(payload, type)), kid };
}

/**
 * Returns the type that a record claims to be, read from its header alone, or undefined if it is no known type or no
 * record at all. It is a hint for readers of a stream with several types, who then verify the record as that type.
 */
export function claimedType(bytes: Uint8Array): RecordType | undefined {
  const end = bytes.indexOf(0x2e);
  if (end < 0 || end > headerBytesMax) return undefined;
  try {
    const header: unknown = JSON.parse(
      Buffer.from(Buffer.from(bytes.subarray(0, end)).toString("latin1"), "base64url").toString(),
    );
    const typ = typeof header === "object" && header !== null && "typ" in header ? header.typ : undefined;
    return recordTypes.find((type) => type === typ);
  } catch {
    return undefined;
  }
}

function refused(type: RecordType, why: string): AshlarError {
  return new AshlarError("invalid_record", `${type}: ${why}`);
}

/** Decodes canonical base64url only: a second spelling of the same bytes would give a record two digests. */
function decodePart(text: string, type: RecordType): Buffer {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.toString("base64url") !== text) throw refused(type, "not canonical base64url");
  return bytes;
}

function parseHeader(bytes: Buffer, type: RecordType, mesh: string): { kid: string } {
  let header: unknown;
  try {
    header = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new AshlarError("invalid_record", `${type}: the protected header is not JSON`, { cause });
  }
  if (typeof header !== "object" || header === null) throw refused(type, "the protected header is not an object");
  const { alg, typ, mesh: of, kid, ...rest } = header as Record<string, unknown>;
  if (alg !== "EdDSA") throw refused(type, "the algorithm is not EdDSA");
  if (typ !== type) throw refused(type, `it says it is ${JSON.stringify(typ)}`);
  if (of !== mesh) throw refused(type, `it belongs to mesh ${JSON.stringify(of)}, not ${JSON.stringify(mesh)}`);
  if (typeof kid !== "string") throw refused(type, "no key id");
  if (Object.keys(rest).length > 0) throw refused(type, `unknown header ${JSON.stringify(Object.keys(rest)[0])}`);
  return { kid };
}
