/** The admin API's methods about published revisions, and who approved them. */
import type { Digest } from "../../core/digest.js";
import type { Approval } from "../../core/wire/approval.js";
import type { AdminServiceService, ApprovalInfo, ListRevisionsRequest } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import type { Approvals } from "../activate/approvals.js";
import { renderActivation, renderRevision } from "../admin/admin-messages.js";
import { bounded } from "../admin/bounded.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { Ledger } from "../store/ledger.js";
import type { PolicyReader } from "./policy-reader.js";

export interface RevisionMethodsDeps extends OperatedDeps {
  readonly ledger: Pick<Ledger, "revisions" | "activations">;
  readonly policy: Pick<PolicyReader, "find" | "yaml" | "json">;
  readonly approvals: Approvals;
}

type RevisionMethods = Pick<
  Implementation<typeof AdminServiceService>,
  "getRevision" | "listRevisions" | "approveRevision"
>;

const revisionsDefault = 100;
const revisionsMax = 1000;

export function revisionMethods(deps: RevisionMethodsDeps): RevisionMethods {
  const { ledger, policy, approvals } = deps;
  const operated = operatedBy(deps);
  return {
    getRevision: operated(async ({ number, asJson }) => {
      const revision = policy.find(number);
      const given = (await approvals.all()).get(revision.digest) ?? [];
      return {
        revision: { ...renderRevision(revision, ledger.activations.head()), approvals: given.map(renderApproval) },
        yaml: asJson ? "" : await policy.yaml(revision),
        json: asJson ? await policy.json(revision) : "",
        record: Buffer.from(revision.bytes),
      };
    }),
    listRevisions: operated(async (request) => listRevisions(deps, request, await approvals.all())),
    approveRevision: operated(async ({ revision, reason }, caller) => {
      const { created, approvals: given } = await approvals.approve(revision, reason, caller);
      return { created, approvals: given.map(renderApproval), required: approvals.required };
    }),
  };
}

function listRevisions(
  { ledger }: RevisionMethodsDeps,
  { limit, before }: ListRevisionsRequest,
  approvals: ReadonlyMap<Digest, readonly Approval[]>,
) {
  const count = bounded("limit", limit, revisionsDefault, revisionsMax);
  const active = ledger.activations.head();
  const all = ledger.revisions.list();
  const end = before === 0 ? all.length : all.findIndex(({ body }) => body.number >= before);
  const page = all.slice(0, end < 0 ? all.length : end).slice(-count);
  return {
    revisions: page.reverse().map((revision) => {
      const given = approvals.get(revision.digest) ?? [];
      return { ...renderRevision(revision, active), approvals: given.map(renderApproval) };
    }),
    active: active && renderActivation(active),
  };
}

function renderApproval({ operator, reason, timeMs }: Approval): ApprovalInfo {
  return { operator, reason, timeMs };
}
