import type { KeyObject } from "node:crypto";
import { createSigner, type Signer } from "../../core/signature.js";

/** A signer that asks `before` each time: what that throws keeps the bytes from being signed. */
export function createGuardedSigner(key: KeyObject, before: (bytes: Uint8Array) => void = () => {}): Signer {
  const signer = createSigner(key);
  return {
    kid: signer.kid,
    sign: (bytes) => {
      before(bytes);
      return signer.sign(bytes);
    },
  };
}
