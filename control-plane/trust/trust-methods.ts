/** The admin API's methods about signing keys and revoked identities. */
import { createHash } from "node:crypto";
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { Revocations } from "./revocations.js";
import type { SigningKeyRotation } from "./signing-key-rotation.js";

export interface TrustMethodsDeps extends OperatedDeps {
  readonly signingKeys: SigningKeyRotation;
  readonly revocations: Revocations;
  /** The mesh's root key, Ed25519, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
}

type TrustMethods = Pick<
  Implementation<typeof AdminServiceService>,
  "listSigningKeys" | "rotateSigningKey" | "dropSigningKey" | "revokeIdentity"
>;

export function trustMethods(deps: TrustMethodsDeps): TrustMethods {
  const { signingKeys } = deps;
  const operated = operatedBy(deps);
  return {
    listSigningKeys: operated(() => {
      const { trust, keys } = signingKeys.show();
      return {
        sequence: trust.body.sequence,
        signingKeys: keys.map(({ key, inUse, signedActive, keptBecause = "" }) => ({
          kid: key.kid,
          holder: key.holder,
          inUse,
          signedActive,
          keptBecause,
        })),
        revocations: trust.body.revocations.length,
        timeMs: trust.body.timeMs,
        rootHash: createHash("sha256").update(deps.rootPublicKey).digest("hex"),
      };
    }),
    rotateSigningKey: operated(({ reason }, caller) => signingKeys.rotate(reason, caller)),
    revokeIdentity: operated(async ({ id, reason }, caller) => {
      const { trust, serials, appended } = await deps.revocations.revoke(id, reason, caller);
      return { trustSequence: trust.body.sequence, serials: [...serials], created: appended };
    }),
    dropSigningKey: operated(async ({ kid, reason }, caller) => {
      const { body } = await signingKeys.drop(kid, reason, caller);
      return { trustSequence: body.sequence };
    }),
  };
}
