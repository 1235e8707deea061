/** The admin API's methods that check, publish and compare policy. */
import type { AdminServiceService, DiffSide } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { renderFinding, renderRevision } from "../admin/admin-messages.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { Ledger } from "../store/ledger.js";
import type { PolicyReader, PolicySide } from "./policy-reader.js";
import type { Publisher } from "./publisher.js";

export interface PublishMethodsDeps extends OperatedDeps {
  readonly ledger: Pick<Ledger, "activations">;
  readonly policy: Pick<PolicyReader, "validate" | "diff">;
  readonly publisher: Pick<Publisher, "publish">;
}

type PublishMethods = Pick<
  Implementation<typeof AdminServiceService>,
  "validateRevision" | "publishRevision" | "diffRevisions"
>;

export function publishMethods(deps: PublishMethodsDeps): PublishMethods {
  const { ledger, policy, publisher } = deps;
  const operated = operatedBy(deps);
  return {
    validateRevision: operated(async ({ files }) => {
      const { findings, snapshotDigest, wouldCreate, objects, access } = await policy.validate(files);
      return {
        findings: findings.map(renderFinding),
        snapshot: snapshotDigest ?? "",
        wouldCreate,
        objects: objects.map((change) => ({ ...change, lines: [...change.lines] })),
        access: [...access],
      };
    }),
    publishRevision: operated(async (request, caller) => {
      const { findings, created, revision } = await publisher.publish({ ...request, parent: request.parent }, caller);
      return {
        findings: findings.map(renderFinding),
        created,
        revision: revision && renderRevision(revision, ledger.activations.head()),
      };
    }),
    diffRevisions: operated(async ({ from, to, namesOnly }) => {
      const { findings, objects, access, fromSnapshot, toSnapshot, ...about } = await policy.diff(
        parseSide(from, { kind: "active" }),
        parseSide(to, { kind: "newest" }),
        namesOnly,
      );
      return {
        findings: findings.map(renderFinding),
        objects: objects.map((change) => ({ ...change, lines: [...change.lines] })),
        access: [...access],
        fromSnapshot: fromSnapshot ?? "",
        toSnapshot: toSnapshot ?? "",
        ...about,
      };
    }),
  };
}

function parseSide(given: DiffSide | undefined, otherwise: PolicySide): PolicySide {
  const side = given?.side;
  if (side === undefined) return otherwise;
  switch (side.$case) {
    case "files":
      return { kind: "files", files: side.value.files };
    case "proxy":
      return { kind: "proxy", id: side.value };
    case "bundle":
      return { kind: "bundle", bytes: side.value };
    case "revision":
      return side.value === 0 ? { kind: "active" } : { kind: "revision", number: side.value };
  }
}
