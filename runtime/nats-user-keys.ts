/** The nkey pairs with which NATS users authenticate. */
import { createUser, fromPublic } from "@nats-io/nkeys";
import { openPair } from "./nats-signer.js";

/** A user's key pair in NATS's own text form. */
export interface NatsUserKey {
  /** The public key "U…", which goes into the JWT. */
  readonly publicKey: string;
  /** The seed "SU…", which never leaves its holder. */
  readonly seed: string;
}

/** Creates a fresh key pair for a user. */
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
