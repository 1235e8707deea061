/** Keys of private parts: a data key of a subject, wrapped for the one who holds the key to read them (decision 0064). */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import { AshlarError } from "../../errors.js";

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
/** PKCS #8 of an X25519 private key up to its 32 bytes, and SubjectPublicKeyInfo of a public one. */
const privatePrefix = Buffer.from("302e020100300506032b656e04220420", "hex");
const publicPrefix = Buffer.from("302a300506032b656e032100", "hex");

/** What a data key and what is encrypted under it belong to: neither can be read in the place of another. */
export interface KeyPlace {
  readonly service: string;
  /** Names the data key: 32 hexadecimal digits. */
  readonly keyId: string;
}

/** A part of an entry: nothing that was encrypted for one part or entry is taken for another. */
export interface PartPlace extends KeyPlace {
  readonly part: "request" | "response";
  /** The nonce of the entry. */
  readonly nonce: Uint8Array;
}

/** Each text with a zero after it: no text of a place has one. */
const bound = (domain: string, ...texts: readonly string[]): Buffer =>
  Buffer.from(`${[`ashlar-journal-${domain}-v1`, ...texts].join("\0")}\0`, "utf8");

function encrypt(key: Uint8Array, nonce: Uint8Array, text: Uint8Array, about: Uint8Array): Uint8Array {
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(about);
  return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, about: Uint8Array): Uint8Array {
  if (sealed.length < tagBytes) throw new AshlarError("invalid_record", "it is too short to be encrypted");
  const tag = sealed.subarray(sealed.length - tagBytes);
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes }).setAAD(about);
    decipher.setAuthTag(tag);
    return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - tagBytes)), decipher.final()]);
  } catch (cause) {
    throw new AshlarError("invalid_record", "it was encrypted under another key, or changed", { cause });
  }
}

/** A holder's public key as policy has it: base64 of its SubjectPublicKeyInfo, the line between those of a PEM file. */
export const holderKeyPattern = "^MCowBQYDK2VuAyEA[A-Za-z0-9+/]{43}=$";

/** A key that is used to see whether another one is good, and never to wrap. */
let probe: KeyObject | undefined;

/** Returns whether this is a public key that something can be wrapped for. */
export function isHolderKey(text: string): boolean {
  if (!new RegExp(holderKeyPattern).test(text)) return false;
  try {
    probe ??= privateKeyOf(new Uint8Array(keyBytes).fill(1));
    diffieHellman({ privateKey: probe, publicKey: publicKeyOf(text) });
    return true;
  } catch {
    return false;
  }
}

function publicKeyOf(holder: string): KeyObject {
  return createPublicKey({ key: Buffer.from(holder, "base64"), format: "der", type: "spki" });
}

function privateKeyOf(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([privatePrefix, raw]), format: "der", type: "pkcs8" });
}

const rawOf = (key: KeyObject): Buffer => key.export({ format: "der", type: "spki" }).subarray(publicPrefix.length);

function wrappingKey(own: KeyObject, other: KeyObject, ephemeral: Uint8Array, holder: Uint8Array): Uint8Array {
  const shared = diffieHellman({ privateKey: own, publicKey: other });
  const salt = Buffer.concat([ephemeral, holder]);
  return new Uint8Array(hkdfSync("sha256", shared, salt, bound("wrap"), keyBytes));
}

/** One nonce is enough: a key is wrapped under a key that is used once. */
const wrapNonce = new Uint8Array(nonceBytes);

/**
 * Wraps a data key so that the holder's private key alone gives it back. `ephemeral`: 32 random bytes, never used again.
 * Fails with `invalid_policy` if the holder's key is none.
 */
export function wrapKey(dataKey: Uint8Array, holder: string, place: KeyPlace, ephemeral: Uint8Array): Uint8Array {
  const own = privateKeyOf(ephemeral);
  try {
    const to = publicKeyOf(holder);
    const public_ = rawOf(createPublicKey(own));
    const key = wrappingKey(own, to, public_, rawOf(to));
    return Buffer.concat([public_, encrypt(key, wrapNonce, dataKey, bound("key", place.service, place.keyId))]);
  } catch (cause) {
    throw new AshlarError("invalid_policy", "the holder's key is no public key of X25519", { cause });
  }
}

/** Fails with `invalid_record` if it was wrapped for somebody else, or is about another key. `holder`: private key in PEM. */
export function unwrapKey(wrapped: Uint8Array, holder: KeyObject, place: KeyPlace): Uint8Array {
  if (wrapped.length !== keyBytes + keyBytes + tagBytes)
    throw new AshlarError("invalid_record", "the wrapped key is not as long as one is");
  const ephemeral = wrapped.subarray(0, keyBytes);
  const other = createPublicKey({ key: Buffer.concat([publicPrefix, ephemeral]), format: "der", type: "spki" });
  const key = wrappingKey(holder, other, ephemeral, rawOf(createPublicKey(holder)));
  return decrypt(key, wrapNonce, wrapped.subarray(keyBytes), bound("key", place.service, place.keyId));
}

/** The holder's private key from a PEM file. Fails with `invalid_argument`. */
export function readHolderKey(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "x25519") return key;
  } catch {
    // told below
  }
  throw new AshlarError("invalid_argument", "not a private key of X25519 in PEM (openssl genpkey -algorithm x25519)");
}

/** The public key of a holder's private key, as policy has it. */
export const holderOf = (holder: KeyObject): string =>
  createPublicKey(holder).export({ format: "der", type: "spki" }).toString("base64");

const aboutOf = ({ service, keyId, part, nonce }: PartPlace): Buffer =>
  bound("part", service, keyId, part, Buffer.from(nonce).toString("hex"));

/** Encrypts a part of an entry. `nonce`: 12 random bytes. */
export function sealPart(text: Uint8Array, dataKey: Uint8Array, place: PartPlace, nonce: Uint8Array): Uint8Array {
  return Buffer.concat([nonce, encrypt(dataKey, nonce, text, aboutOf(place))]);
}

/** Fails with `invalid_record`. */
export function openPart(sealed: Uint8Array, dataKey: Uint8Array, place: PartPlace): Uint8Array {
  return decrypt(dataKey, sealed.subarray(0, nonceBytes), sealed.subarray(nonceBytes), aboutOf(place));
}

/** The digest of something private, of which `digest` is the plain one: nobody without the salt can try what it is of. */
export function keyedDigest(salt: Uint8Array, part: PartPlace["part"], digest: Uint8Array): Uint8Array {
  return createHmac("sha256", salt).update(bound("digest", part)).update(digest).digest();
}
