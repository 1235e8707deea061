/** The nkey pairs by which NATS users prove themselves. */
import { createUser, fromPublic } from "@nats-io/nkeys";
import { openPair } from "./nats-signer.js";

/** A user's key pair in NATS's own text form. */
export interface NatsUserKey {
  /** "U…": goes into the JWT. */
  readonly publicKey: string;
  /** "SU…": never leaves its holder. */
  readonly seed: string;
}

/** A fresh key pair for a user. */
export function createNatsUserKey(): NatsUserKey {
  const seed = Buffer.from(createUser().getSeed()).toString("ascii");
  return { publicKey: openPair(seed).getPublicKey(), seed };
}

/** Returns whether `text` is the public key of a NATS user. */
export function isNatsUserKey(text: string): boolean {
  if (!/^U[A-Z2-7]{55}$/.test(text)) return false;
  try {
    fromPublic(text);
    return true;
  } catch {
    return false;
  }
}
