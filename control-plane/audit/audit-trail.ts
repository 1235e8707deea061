/**
 * The audit log: who did what, when, from where, with what outcome; refusals included. Each entry names the
 * digest of the one before it, so that a missing or altered entry shows.
 */
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import type { AuditEntry } from "../../core/wire/audit.js";

/** The caller as the listener identified it. */
export interface Caller {
  /** SPIFFE ID, or "anonymous" where there is none (a refused connection, a join). */
  readonly id: string;
  /** The address it called from. */
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

/** An entry to be noted. The trail adds its sequence, its time and the link to the entry before. */
export interface AuditDraft {
  readonly actor: string;
  readonly source: string;
  readonly action: AuditAction;
  /** The object of the action, for example "revision 4". */
  readonly target: string;
  /** "ok", or the error code of a refusal. */
  readonly outcome: string;
  /** One further line. */
  readonly detail: string;
}

export interface AuditTrail {
  /** Notes `draft`. Never fails: an entry that cannot be stored now is kept and stored later, and logged. */
  record(draft: AuditDraft): Promise<void>;
}

/**
 * Runs `act` and notes how it went. The outcome of `act` is the outcome of this function:
 * what is committed stays committed, whatever becomes of the note.
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
  /** Entries from this time on, Unix milliseconds; 0: all. */
  readonly sinceMs: number;
  /** The most entries to return; the newest ones count. */
  readonly limit: number;
}

export interface AuditList {
  /** Oldest first. */
  readonly entries: readonly AuditEntry[];
  /** The hash chain of what is listed holds. */
  readonly chainHolds: boolean;
}
