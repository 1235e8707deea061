import type { KeyObject } from "node:crypto";
import { createSigner, type Signer } from "../../core/signature.js";

/** Returns a signer that calls `before` each time; if `before` throws, nothing is signed. */
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
