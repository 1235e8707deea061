/** Appends records to the trust log. */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import type { Signed, Trust } from "../../core/model.js";
import { signTrust } from "../../core/wire/records.js";
import type { Authority } from "../identity/authority.js";
import type { Ledger } from "../store/ledger.js";

export interface AppendTrustDeps {
  readonly authority: Pick<Authority, "mesh" | "rootSigner">;
  readonly ledger: Pick<Ledger, "trust">;
}

const attemptsMax = 8;

/** Returns the trust record in force. Fails with `unavailable` if there is none yet. */
export function requireTrust({ trust }: Pick<Ledger, "trust">): Signed<Trust> {
  const head = trust.head();
  if (head === undefined) throw new AshlarError("unavailable", "the mesh is not ready: try again");
  return head;
}

/**
 * Signs and appends the record that `change` makes of the head, and tries again if somebody was first. `change` returns
 * undefined if nothing has to change. Returns the record that is then in force, and whether it was appended here.
 */
export async function appendTrust(
  { authority, ledger }: AppendTrustDeps,
  change: (head: Signed<Trust>) => Trust | undefined,
): Promise<{ readonly trust: Signed<Trust>; readonly appended: boolean }> {
  for (let attempt = 1; ; attempt += 1) {
    const head = requireTrust(ledger);
    const next = change(head);
    if (next === undefined) return { trust: head, appended: false };
    const signed = signTrust(next, authority.mesh, authority.rootSigner);
    try {
      await ledger.trust.append(signed);
      return { trust: signed, appended: true };
    } catch (error) {
      if (!isAshlarError(error, "conflict") || attempt >= attemptsMax) throw error;
    }
  }
}

/**
 * Appends the first trust record of a new mesh. Fails with `conflict` if the log has records that do not name this
 * control plane's signing key.
 */
export async function appendFirstTrust(ledger: Ledger, authority: Authority): Promise<void> {
  if (ledger.trust.head() === undefined && authority.holdsRoot) {
    try {
      await ledger.trust.append(signTrust(authority.firstTrust(), authority.mesh, authority.rootSigner));
    } catch (error) {
      if (!isAshlarError(error, "conflict")) throw error;
    }
  }
  const head = ledger.trust.head();
  if (head?.body.signingKeys.some(({ kid }) => kid === authority.signer.kid)) return;
  throw new AshlarError(
    "conflict",
    `the trust log of mesh ${authority.mesh} does not name this data folder's signing key: the streams belong to ` +
      "another control plane (--join makes this one a further control plane of its mesh)",
  );
}
