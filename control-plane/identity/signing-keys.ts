/** The key with which a control plane signs records, and the key that will replace it. */
import type { KeyObject } from "node:crypto";
import { AshlarError } from "../../core/errors.js";
import type { SigningKey } from "../../core/model.js";
import { createSigner, keyIdOf, publicKeyToBytes, type Signer } from "../../core/signature.js";
import type { AuthorityFile } from "./authority-file.js";
import { generateSigningKey } from "./generate-signing-key.js";

export interface SigningKeys {
  /** Signs with the key that is in use at the time of the call. */
  readonly signer: Signer;
  /** Returns the public half of the key in use. */
  current(): SigningKey;
  /** True if a successor was created and is not in use yet: a rotation that was begun continues with it. */
  readonly hasSuccessor: boolean;
  /**
   * Returns the public half of the successor, which is on disk when this returns. It stays the same until it is used.
   */
  successor(): SigningKey;
  /** Switches to the successor and deletes the former key. Fails with `internal` if there is no successor. */
  useSuccessor(): void;
}

/** Opens the keys. `create` makes the signer of a key. */
export function openSigningKeys(file: AuthorityFile, create: (key: KeyObject) => Signer = createSigner): SigningKeys {
  const publicHalf = (key: KeyObject): SigningKey => {
    const publicKey = publicKeyToBytes(key);
    return { kid: keyIdOf(publicKey), publicKey, holder: file.keys.name };
  };
  let inUse = create(file.keys.signingKey);
  return {
    signer: {
      get kid() {
        return inUse.kid;
      },
      sign: (bytes) => inUse.sign(bytes),
    },
    current: () => publicHalf(file.keys.signingKey),
    get hasSuccessor() {
      return file.keys.nextSigningKey !== undefined;
    },
    successor() {
      const next = file.keys.nextSigningKey ?? generateSigningKey();
      if (next !== file.keys.nextSigningKey) file.replace({ ...file.keys, nextSigningKey: next });
      return publicHalf(next);
    },
    useSuccessor() {
      const { nextSigningKey } = file.keys;
      if (nextSigningKey === undefined) throw new AshlarError("internal", "no successor of the signing key was made");
      file.replace({ ...file.keys, signingKey: nextSigningKey, nextSigningKey: undefined });
      inUse = create(nextSigningKey);
    },
  };
}
