/**
 * Key pairs that sign for NATS with Node's Ed25519. Those of the nkeys package compute in JavaScript and start from the
 * seed each time: 40 ms for a public key, and ten times that in a process whose code is not optimized yet.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { fromSeed, type KeyPair } from "@nats-io/nkeys";
import { decodeNkey, encodeNkey, privatePrefix } from "./nkey-text.js";

/** The DER prefix of an Ed25519 seed in PKCS #8 (RFC 8410), before its 32 bytes. */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");
const prefixBytes = 2;
const seedBytes = 32;
/** The most pairs that are kept; a control plane signs with the keys of a few accounts. */
const keptMax = 8;
const kept = new Map<string, KeyPair>();

/** Returns the pair of a seed ("SA…"), and keeps it. Fails as `fromSeed` does if the seed is damaged. */
export function signerOf(seed: string): KeyPair {
  const known = kept.get(seed);
  if (known !== undefined) return known;
  const made = openPair(seed);
  const [oldest] = kept.keys();
  if (kept.size >= keptMax && oldest !== undefined) kept.delete(oldest);
  kept.set(seed, made);
  return made;
}

/** Returns the pair of a seed of any kind. Fails as `fromSeed` does if the seed is damaged. */
export function openPair(seed: string): KeyPair {
  const pair = fromSeed(Buffer.from(seed, "ascii")); // checks the checksum and the kind
  const decoded = decodeNkey(seed);
  const raw = decoded.subarray(prefixBytes, prefixBytes + seedBytes);
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, raw]), format: "der", type: "pkcs8" });
  const publicBytes = publicBytesOf(key);
  const publicKey = encodeNkey(kindOf(decoded), publicBytes);
  return Object.assign(Object.create(pair) as KeyPair, {
    getPublicKey: () => publicKey,
    getPrivateKey: () => Buffer.from(encodeNkey(privatePrefix, Buffer.concat([raw, publicBytes])), "ascii"),
    sign: (bytes: Uint8Array) => new Uint8Array(sign(null, bytes, key)),
  });
}

function publicBytesOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-seedBytes);
}

/**
 * Returns the first byte of public keys of a seed's kind. A seed has it in the low 3 bits of its first byte and the
 * high 5 of its second.
 */
function kindOf([first = 0, second = 0]: Uint8Array): number {
  return ((first & 0x07) << 5) | (second >> 3);
}
