/** The holder of private fields in tests, always with the same key. */
import { createPrivateKey, createPublicKey } from "node:crypto";

const der = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), Buffer.alloc(32, 7)]);
const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });

export const testHolder = {
  key,
  pem: key.export({ format: "pem", type: "pkcs8" }).toString(),
  /** The public key in the form that policy has. */
  publicKey: createPublicKey(key).export({ format: "der", type: "spki" }).toString("base64"),
};
