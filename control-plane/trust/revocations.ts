/**
 * Revokes identities before their certificates expire. Proxies refuse them and close their connections as soon as they
 * hear of it.
 */
import { AshlarError } from "../../core/errors.js";
import type { Signed, Trust } from "../../core/model.js";
import { revoke } from "../../core/trust.js";
import type { Clock } from "../../runtime/clock.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import type { AuditLog } from "../audit/audit-log.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { Authority } from "../identity/authority.js";
import type { IssuedCertificates } from "../identity/issued-certificates.js";
import type { Ledger } from "../store/ledger.js";
import { appendTrust } from "./append-trust.js";

export interface RevocationsDeps {
  readonly authority: Pick<Authority, "mesh" | "holdsRoot" | "rootSigner">;
  readonly ledger: Pick<Ledger, "trust">;
  readonly issued: Pick<IssuedCertificates, "serialsOf">;
  /** The audit log, which knows what other control planes issued. */
  readonly auditLog: Pick<AuditLog, "list">;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /**
   * Called with the proxy or certificate that was revoked, before the caller is answered; also if it was revoked
   * before.
   */
  readonly onRevoked?: (id: string) => Promise<void>;
}

export interface Revoked {
  readonly trust: Signed<Trust>;
  /** The serial numbers, including those that were revoked before; sorted. */
  readonly serials: readonly string[];
  /** False: all of them were revoked already. */
  readonly appended: boolean;
}

export interface Revocations {
  /**
   * Revokes the certificates of a proxy by its id, or one certificate by its serial number. Fails with `denied` if this
   * control plane does not hold the root key, with `not_found` if nobody has such a certificate, with `stale` for the
   * caller's own, and with `limit` and `invalid_argument`.
   */
  revoke(id: string, reason: string, caller: OperatorCaller): Promise<Revoked>;
}

const serialGrammar = /^[0-9a-f]{16,64}$/;
const reasonBytesMax = 256;
const auditedMax = 10_000;
/**
 * The milliseconds for which the audit log is searched: certificates of proxies live for a day, and may be renewed for
 * a week after they expire.
 */
const auditedMs = 8 * 86_400_000;
const roundsMax = 4;

export function createRevocations(deps: RevocationsDeps): Revocations {
  return {
    revoke: (id, reason, caller) =>
      audited(
        deps.audit,
        { action: "revoke", target: JSON.stringify(id.slice(0, 64)), caller, detail: reason },
        async () => {
          const revoked = await revokeAll(deps, id, reason, caller);
          await deps.onRevoked?.(id);
          return revoked;
        },
        ({ trust, serials, appended }) => ({
          target: id,
          detail: `${appended ? `trust ${trust.body.sequence}` : "revoked already"}, certificates ${serials.join(", ")}${reason === "" ? "" : `: ${reason}`}`,
        }),
      ),
  };
}

async function revokeAll(
  deps: RevocationsDeps,
  id: string,
  reason: string,
  { certificateSerial }: OperatorCaller,
): Promise<Revoked> {
  const { authority, clock } = deps;
  if (!authority.holdsRoot)
    throw new AshlarError("denied", "only the control plane that began the mesh revokes: ask that one");
  if (Buffer.byteLength(reason) > reasonBytesMax)
    throw new AshlarError("invalid_argument", `reason: at most ${reasonBytesMax} bytes`);
  let appended = false;
  for (let round = 1; ; round += 1) {
    const serials = await serialsOf(deps, id);
    if (certificateSerial !== undefined && serials.includes(certificateSerial))
      throw new AshlarError(
        "stale",
        "that is the certificate that you ask with: revoke it with the context of another operator",
      );
    const done = await appendTrust(deps, (head) => revoke(head, serials, reason, clock.nowMs()));
    appended ||= done.appended;
    // a certificate that was being renewed when it was revoked may have been replaced by another
    if (!done.appended || round >= roundsMax) return { trust: done.trust, serials, appended };
  }
}

async function serialsOf({ issued, auditLog, clock }: RevocationsDeps, id: string): Promise<readonly string[]> {
  const { entries } = await auditLog.list({ sinceMs: Math.max(1, clock.nowMs() - auditedMs), limit: auditedMax });
  const noted = entries
    .filter(({ action, target, outcome }) => outcome === "ok" && isIssue(action) && target === `proxy ${id}`)
    .map(({ detail }) => /, certificate ([0-9a-f]{1,64})$/.exec(detail)?.[1])
    .filter((serial) => serial !== undefined);
  const serials = [...new Set([...issued.serialsOf(id), ...noted])].sort();
  if (serials.length > 0) return serials;
  if (serialGrammar.test(id)) return [id];
  throw new AshlarError(
    "not_found",
    `no proxy ${JSON.stringify(id.slice(0, 64))} has a certificate, and it is no serial number; see \`ashlar proxies\`, and \`ashlar audit\` for the certificates of operators`,
  );
}

function isIssue(action: string): boolean {
  return action === "join" || action === "renew";
}
