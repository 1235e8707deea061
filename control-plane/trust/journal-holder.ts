/** Who may read the private fields of journals whose policy names nobody: a public key in the trust log. */
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { isHolderKey } from "../../core/journal/private/keys.js";
import type { JournalHolder } from "../../core/model.js";
import { setJournalHolder } from "../../core/trust.js";
import type { Clock } from "../../runtime/clock.js";
import { type AuditTrail, audited, type Caller } from "../audit/audit-trail.js";
import type { Authority } from "../identity/authority.js";
import type { Ledger } from "../store/ledger.js";
import { appendTrust } from "./append-trust.js";

export interface JournalHoldersDeps {
  readonly authority: Pick<Authority, "mesh" | "holdsRoot" | "rootSigner">;
  readonly ledger: Pick<Ledger, "trust">;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

export interface JournalHolders {
  /**
   * Sets the holder for data keys that are made from now on. Returns false if the trust log names it already. Fails
   * with `denied` if this control plane does not hold the root key, and with `invalid_argument` if `publicKey` is none.
   */
  set(publicKey: string, caller: Caller): Promise<boolean>;
  current(): JournalHolder | undefined;
}

/** Returns the SHA-256 of a holder's key, by which people compare it. */
export const fingerprintOf = (publicKey: string): Digest => digestOf(Buffer.from(publicKey, "base64"));

export function createJournalHolders(deps: JournalHoldersDeps): JournalHolders {
  const { authority, ledger, audit, clock } = deps;
  return {
    set: (publicKey, caller) =>
      audited(
        audit,
        { action: "trust", target: "holder of private fields", caller, detail: fingerprintOf(publicKey.slice(0, 128)) },
        async () => {
          if (!authority.holdsRoot)
            throw new AshlarError("denied", "only the control plane that began the mesh changes trust: ask that one");
          if (!isHolderKey(publicKey))
            throw new AshlarError(
              "invalid_argument",
              "public_key is no public key of X25519 that a key can be wrapped for",
            );
          return (await appendTrust(deps, (head) => setJournalHolder(head, publicKey, clock.nowMs()))).appended;
        },
      ),
    current: () => ledger.trust.head()?.body.journalHolder,
  };
}
