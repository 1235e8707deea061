import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { keyIdOf, publicKeyToBytes } from "../../core/signature.js";

/** Makes an Ed25519 key whose id does not begin with "-": commands would take such an id for an option. */
export function generateSigningKey(): KeyObject {
  for (;;) {
    const { privateKey } = generateKeyPairSync("ed25519");
    if (!keyIdOf(publicKeyToBytes(privateKey)).startsWith("-")) return privateKey;
  }
}
