/**
 * The audit log: who did what, when, from where, and with which outcome, including refusals. Each entry contains the
 * digest of the one before, so that a missing or altered entry shows.
 */
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import type { AuditEntry } from "../../core/wire/audit.js";

/** The caller as the listener identified it. */
export interface Caller {
  /** The SPIFFE ID, or "anonymous" if the caller has none (a refused connection, a join). */
  readonly id: string;
  /** The address that the caller called from. */
  readonly source: string;
}

export const auditActions = [
  "publish",
  "activate",
  "rollout",
  "stage",
  "rollback",
  "token",
  "join",
  "renew",
  "reader",
  "refuse",
  "start",
  "head",
  "issuer",
  "egress",
  "shadow",
  "trust",
  "login",
  "revoke",
  "approve",
  "recover",
  "replay",
  "resolve",
  "look",
  "retain",
  "shred",
  "import",
] as const;
export type AuditAction = (typeof auditActions)[number];

/** An entry to record. The trail adds its sequence, its time and the link to the entry before. */
export interface AuditDraft {
  readonly actor: string;
  readonly source: string;
  readonly action: AuditAction;
  /** The object of the action, such as "revision 4". */
  readonly target: string;
  /** "ok", or the error code of a refusal. */
  readonly outcome: string;
  /** One further line. */
  readonly detail: string;
}

export interface AuditTrail {
  /** Records `draft`. Never fails: an entry that cannot be stored now is kept, logged, and stored later. */
  record(draft: AuditDraft): Promise<void>;
}

/**
 * Runs `act` and records its outcome. This function ends as `act` does: what is committed stays committed, whatever
 * happens to the record.
 */
export async function audited<Result>(
  trail: AuditTrail,
  what: Pick<AuditDraft, "action" | "target"> & { readonly caller: Caller; readonly detail: string },
  act: () => Promise<Result>,
  render: (result: Result) => Partial<Pick<AuditDraft, "target" | "outcome" | "detail">> = () => ({}),
): Promise<Result> {
  const draft = {
    actor: what.caller.id,
    source: what.caller.source,
    action: what.action,
    target: what.target,
    outcome: "ok",
    detail: what.detail,
  };
  try {
    const result = await act();
    await trail.record({ ...draft, ...render(result) });
    return result;
  } catch (error) {
    const outcome = isAshlarError(error) ? error.code : "internal";
    await trail.record({ ...draft, outcome, detail: messageOf(error).slice(0, 1024) });
    throw error instanceof Error ? error : new AshlarError("internal", messageOf(error));
  }
}

export interface AuditQuery {
  /** Only entries from this time on, in Unix milliseconds; 0: all. */
  readonly sinceMs: number;
  /** The most entries to return; the newest ones count. */
  readonly limit: number;
}

export interface AuditList {
  /** The entries, oldest first. */
  readonly entries: readonly AuditEntry[];
  /** True if the hash chain of the listed entries holds. */
  readonly chainHolds: boolean;
}
