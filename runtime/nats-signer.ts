/**
 * Key pairs that sign for NATS with Node's Ed25519. Those of the nkeys package compute in JavaScript and begin at the seed each
 * time: 40 ms for a public key, 170 ms of the control plane's event loop for each user that it minted.
 */
import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import { fromSeed, type KeyPair } from "@nats-io/nkeys";

/** What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const prefixBytes = 2;
const seedBytes = 32;
/** A control plane signs with the keys of a few accounts. */
const keptMax = 8;
const kept = new Map<string, KeyPair>();

/** The pair of a seed ("SA…"), kept from then on. Fails as `fromSeed` does if the seed is damaged. */
export function signerOf(seed: string): KeyPair {
  const known = kept.get(seed);
  if (known !== undefined) return known;
  const made = makeSigner(seed);
  const [oldest] = kept.keys();
  if (kept.size >= keptMax && oldest !== undefined) kept.delete(oldest);
  kept.set(seed, made);
  return made;
}

function makeSigner(seed: string): KeyPair {
  const pair = fromSeed(Buffer.from(seed, "ascii")); // judges the checksum and the kind
  const publicKey = pair.getPublicKey();
  const key = privateKeyOf(seed);
  return Object.assign(Object.create(pair) as KeyPair, {
    getPublicKey: () => publicKey,
    sign: (bytes: Uint8Array) => new Uint8Array(sign(null, bytes, key)),
  });
}

function privateKeyOf(seed: string): KeyObject {
  const raw = decodeBase32(seed).subarray(prefixBytes, prefixBytes + seedBytes);
  return createPrivateKey({ key: Buffer.concat([pkcs8Prefix, raw]), format: "der", type: "pkcs8" });
}

/** RFC 4648 without padding; the caller has judged the letters. */
function decodeBase32(text: string): Buffer {
  const bytes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const letter of text) {
    held = ((held << 5) | alphabet.indexOf(letter)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
  }
  return Buffer.from(bytes);
}
