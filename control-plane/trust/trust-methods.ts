/** The admin API's methods about signing keys, the holder of private fields, and revoked identities. */
import { createHash } from "node:crypto";
import { AshlarError } from "../../core/errors.js";
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { JournalHolderInfo } from "../../proto/gen/ashlar/v1/trust.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import { renderVouchedFor, type VouchedForDeps, vouchedFor } from "../journal/vouched-for.js";
import { fingerprintOf, type JournalHolders } from "./journal-holder.js";
import type { Revocations } from "./revocations.js";
import type { SigningKeyRotation } from "./signing-key-rotation.js";

export interface TrustMethodsDeps extends OperatedDeps {
  readonly signingKeys: SigningKeyRotation;
  readonly revocations: Revocations;
  readonly journalHolders: JournalHolders;
  /** The mesh's root key, Ed25519, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
  readonly mesh: string;
  readonly bus: VouchedForDeps["bus"];
}

/** Fails with `stale` where entries of a journal would count for no proxy any more. */
async function refuseWhatUndoes(deps: TrustMethodsDeps, kid: string, signal: AbortSignal): Promise<void> {
  const { trust } = deps.signingKeys.show();
  const found = await vouchedFor({ bus: deps.bus, mesh: deps.mesh, trust }, kid, signal);
  if (found.length === 0) return;
  throw new AshlarError(
    "stale",
    `${kid} is not dropped: it alone vouches for ${found.map(renderVouchedFor).join("; ")}. Once it is dropped, imported messages count for ` +
      "no proxy, their keys and order are forgotten, and resolved writes have no outcome again: let go of what was imported first " +
      "(`ashlar journal retain`), or give --yes, as for a key that was stolen",
  );
}

type TrustMethods = Pick<
  Implementation<typeof AdminServiceService>,
  "listSigningKeys" | "rotateSigningKey" | "dropSigningKey" | "revokeIdentity" | "setJournalHolder" | "getJournalHolder"
>;

export function trustMethods(deps: TrustMethodsDeps): TrustMethods {
  const { signingKeys, journalHolders } = deps;
  const operated = operatedBy(deps);
  const holder = (): JournalHolderInfo | undefined => {
    const current = journalHolders.current();
    return current && { ...current, fingerprint: fingerprintOf(current.publicKey) };
  };
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
    setJournalHolder: operated(async ({ publicKey }, caller) => {
      const created = await journalHolders.set(publicKey, caller);
      return { holder: holder(), created };
    }),
    getJournalHolder: operated(() => ({ holder: holder() })),
    revokeIdentity: operated(async ({ id, reason }, caller) => {
      const { trust, serials, appended } = await deps.revocations.revoke(id, reason, caller);
      return { trustSequence: trust.body.sequence, serials: [...serials], created: appended };
    }),
    dropSigningKey: operated(async ({ kid, reason, undo }, caller, signal) => {
      if (!undo) await refuseWhatUndoes(deps, kid, signal);
      const { body } = await signingKeys.drop(kid, reason, caller);
      return { trustSequence: body.sequence };
    }),
  };
}
