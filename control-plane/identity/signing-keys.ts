/** The key that a control plane signs records with, and the one that takes its place. */
import type { KeyObject } from "node:crypto";
import { AshlarError } from "../../core/errors.js";
import type { SigningKey } from "../../core/model.js";
import { createSigner, keyIdOf, publicKeyToBytes, type Signer } from "../../core/signature.js";
import type { AuthorityFile } from "./authority-file.js";
import { generateSigningKey } from "./generate-signing-key.js";

export interface SigningKeys {
  /** Signs with the key in use at the time of the call. */
  readonly signer: Signer;
  /** The public half of the key in use. */
  current(): SigningKey;
  /** A successor was made and is not in use yet: a rotation that was begun goes on with it. */
  readonly hasSuccessor: boolean;
  /** The public half of the successor, which is on disk when this returns; the same one until it is used. */
  successor(): SigningKey;
  /** Switches to the successor and deletes the former key. Fails with `internal` if there is no successor. */
  useSuccessor(): void;
}

/** `create` makes the signer of a key. */
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
