/**
 * Keys of private fields: the data key of a subject, wrapped so that only the holder's private key opens it (decision
 * 0064).
 */
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
/**
 * The DER prefixes of an X25519 private key (PKCS #8) and public key (SubjectPublicKeyInfo), before the key's 32 bytes.
 */
const privatePrefix = Buffer.from("302e020100300506032b656e04220420", "hex");
const publicPrefix = Buffer.from("302a300506032b656e032100", "hex");

/**
 * The place that a data key belongs to. It is authenticated, so a key or ciphertext of one place cannot be used in
 * another.
 */
export interface KeyPlace {
  readonly service: string;
  /** The id of the data key: 32 hexadecimal digits. */
  readonly keyId: string;
}

/**
 * The place of one encrypted part of an entry. It is authenticated, so a part cannot be used for another part or entry.
 */
export interface PartPlace extends KeyPlace {
  readonly part: "request" | "response";
  /** The nonce of the entry. */
  readonly nonce: Uint8Array;
}

/** Returns the bytes that are authenticated: each text followed by a zero byte, which no text contains. */
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

/**
 * The holder's public key as policy writes it: base64 of its SubjectPublicKeyInfo, the line between those of a PEM
 * file.
 */
export const holderKeyPattern = "^MCowBQYDK2VuAyEA[A-Za-z0-9+/]{43}=$";

/** A key that is used only to test whether a holder's key is usable, and never to wrap a data key. */
let probe: KeyObject | undefined;

/** Returns whether `text` is a public key that a data key can be wrapped for. */
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

/** A constant nonce is safe: every wrapping key is used once. */
const wrapNonce = new Uint8Array(nonceBytes);

/**
 * Wraps a data key so that only the holder's private key opens it. `ephemeral`: 32 random bytes that are never used
 * again. Fails with `invalid_policy` if `holder` is no usable public key.
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

/**
 * Opens a wrapped data key with the holder's private key. Fails with `invalid_record` if it was wrapped for another
 * holder or another place.
 */
export function unwrapKey(wrapped: Uint8Array, holder: KeyObject, place: KeyPlace): Uint8Array {
  if (wrapped.length !== keyBytes + keyBytes + tagBytes)
    throw new AshlarError("invalid_record", "the wrapped key is not as long as one is");
  const ephemeral = wrapped.subarray(0, keyBytes);
  const other = createPublicKey({ key: Buffer.concat([publicPrefix, ephemeral]), format: "der", type: "spki" });
  const key = wrappingKey(holder, other, ephemeral, rawOf(createPublicKey(holder)));
  return decrypt(key, wrapNonce, wrapped.subarray(keyBytes), bound("key", place.service, place.keyId));
}

/** Reads the holder's private key from PEM. Fails with `invalid_argument`. */
export function readHolderKey(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "x25519") return key;
  } catch {
    // reported below
  }
  throw new AshlarError("invalid_argument", "not a private key of X25519 in PEM (openssl genpkey -algorithm x25519)");
}

/** Returns the public key of a holder's private key, as policy writes it. */
export const holderOf = (holder: KeyObject): string =>
  createPublicKey(holder).export({ format: "der", type: "spki" }).toString("base64");

const aboutOf = ({ service, keyId, part, nonce }: PartPlace): Buffer =>
  bound("part", service, keyId, part, Buffer.from(nonce).toString("hex"));

/** Encrypts a part of an entry. `nonce`: 12 random bytes. */
export function sealPart(text: Uint8Array, dataKey: Uint8Array, place: PartPlace, nonce: Uint8Array): Uint8Array {
  return Buffer.concat([nonce, encrypt(dataKey, nonce, text, aboutOf(place))]);
}

/**
 * Decrypts a part of an entry. Fails with `invalid_record` if the key or the place is another, or the bytes were
 * changed.
 */
export function openPart(sealed: Uint8Array, dataKey: Uint8Array, place: PartPlace): Uint8Array {
  return decrypt(dataKey, sealed.subarray(0, nonceBytes), sealed.subarray(nonceBytes), aboutOf(place));
}

/**
 * Returns a keyed digest of private content whose plain digest is `digest`. Without the salt nobody can test guesses
 * about the content.
 */
export function keyedDigest(salt: Uint8Array, part: PartPlace["part"], digest: Uint8Array): Uint8Array {
  return createHmac("sha256", salt).update(bound("digest", part)).update(digest).digest();
}
