/**
 * Approvals of revisions by operators other than their authors. They are signed and stored in the audit log; if the
 * mesh requires them, a revision needs them before it can become active.
 */
import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { Revision, Signed } from "../../core/model.js";
import type { Signer } from "../../core/signature.js";
import { type Approval, approvalReasonBytesMax, signApproval, verifyApproval } from "../../core/wire/approval.js";
import { keySetOf } from "../../core/wire/records.js";
import type { Clock } from "../../runtime/clock.js";
import type { AuditLog } from "../audit/audit-log.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import { findRevision } from "../store/find-revision.js";
import type { Ledger } from "../store/ledger.js";
import type { OperatorCaller } from "./operator-caller.js";

export interface ApprovalsDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "revisions" | "trust">;
  readonly signer: Signer;
  readonly audit: AuditTrail;
  readonly auditLog: Pick<AuditLog, "list">;
  readonly clock: Clock;
}

export interface Approved {
  /** False: the caller had approved the revision before. */
  readonly created: boolean;
  readonly approvals: readonly Approval[];
}

export interface Approvals {
  /** The number of approvals that an activation needs; 0: none. */
  readonly required: number;
  /**
   * Records that the caller approves a revision. Fails with `not_found`, with `denied` for the revision's author, and
   * with `invalid_argument`.
   */
  approve(number: number, reason: string, caller: OperatorCaller): Promise<Approved>;
  /** Returns the approvals by the digest of the revision: the first of each operator, oldest first. */
  all(): Promise<ReadonlyMap<Digest, readonly Approval[]>>;
  /** Fails with `denied` if the revision has fewer approvals than are required. */
  require(revision: Signed<Revision>): Promise<void>;
}

/** The number of entries that an audit log keeps in memory. */
const entriesMax = 10_000;
const none: readonly Approval[] = [];

/** `required`: the number of approvals that an activation needs. */
export function createApprovals(deps: ApprovalsDeps, required: number): Approvals {
  const { mesh, signer, audit, clock } = deps;
  const all = () => readApprovals(deps);
  return {
    required,
    all,
    approve(number, reason, caller) {
      const what = { action: "approve" as const, target: `revision ${number}`, caller, detail: "" };
      return audited(
        audit,
        what,
        async () => {
          const { digest } = checkMayApprove(deps, number, reason, caller);
          const before = (await all()).get(digest) ?? none;
          const operator = caller.id;
          const approval = { revision: number, digest, operator, reason, timeMs: clock.nowMs() };
          if (before.some((one) => one.operator === operator)) return { created: false, approvals: before };
          return { created: true, approvals: [...before, approval] };
        },
        ({ created, approvals }) => {
          const last = approvals.at(-1);
          if (!created || last === undefined) return { outcome: "exists", detail: "approved before" };
          return { detail: signApproval(last, mesh, signer) };
        },
      );
    },
    async require({ body, digest }) {
      if (required === 0) return;
      const given = (await all()).get(digest) ?? none;
      if (given.length >= required) return;
      const by = given.length === 0 ? "" : ` (by ${given.map(({ operator }) => operator).join(", ")})`;
      throw new AshlarError(
        "denied",
        `revision ${body.number} has ${given.length} of ${required} approvals${by}: operators other than ${body.author} give them with \`ashlar approve ${body.number}\``,
      );
    },
  };
}

function checkMayApprove(
  { ledger }: ApprovalsDeps,
  number: number,
  reason: string,
  caller: OperatorCaller,
): Signed<Revision> {
  if (Buffer.byteLength(reason) > approvalReasonBytesMax)
    throw new AshlarError("invalid_argument", `reason: at most ${approvalReasonBytesMax} bytes`);
  const revision = findRevision(ledger, number);
  if (revision.body.author === caller.id)
    throw new AshlarError("denied", `${caller.id} wrote revision ${number}: another operator has to approve it`);
  return revision;
}

async function readApprovals({ mesh, ledger, auditLog }: ApprovalsDeps): Promise<ReadonlyMap<Digest, Approval[]>> {
  const trust = ledger.trust.head();
  const found = new Map<Digest, Approval[]>();
  if (trust === undefined) return found;
  const keys = keySetOf(trust.body);
  const { entries } = await auditLog.list({ sinceMs: 0, limit: entriesMax });
  for (const { action, outcome, detail } of entries) {
    if (action !== "approve" || outcome !== "ok") continue;
    const approval = read(() => verifyApproval(detail, mesh, keys));
    const revision = approval && ledger.revisions.find(approval.revision);
    if (approval === undefined || revision?.digest !== approval.digest) continue;
    if (revision.body.author === approval.operator) continue;
    const others = found.get(approval.digest) ?? [];
    if (!others.some(({ operator }) => operator === approval.operator)) others.push(approval);
    found.set(approval.digest, others);
  }
  return found;
}

/** Returns an approval, or undefined if its signature does not verify any more. */
function read(verify: () => Approval): Approval | undefined {
  try {
    return verify();
  } catch {
    return undefined;
  }
}
