/** The admin API's methods that move policy from one mesh to another. */
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { renderFinding, renderRevision } from "../admin/admin-messages.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { Ledger } from "../store/ledger.js";
import type { PolicyReader } from "./policy-reader.js";
import type { Publisher } from "./publisher.js";

export interface PromotionDeps extends OperatedDeps {
  readonly ledger: Pick<Ledger, "activations">;
  readonly policy: Pick<PolicyReader, "find" | "bundle">;
  readonly publisher: Pick<Publisher, "importBundle">;
}

type PromotionMethods = Pick<Implementation<typeof AdminServiceService>, "exportRevision" | "importRevision">;

export function promotionMethods(deps: PromotionDeps): PromotionMethods {
  const { ledger, policy, publisher } = deps;
  const operated = operatedBy(deps);
  return {
    exportRevision: operated(async ({ number }) => {
      const revision = policy.find(number);
      const bundle = Buffer.from(await policy.bundle(revision));
      return { revision: renderRevision(revision, ledger.activations.head()), bundle };
    }),
    importRevision: operated(async (request, caller) => {
      const { findings, created, revision } = await publisher.importBundle(
        { ...request, parent: request.parent },
        caller,
      );
      return {
        findings: findings.map(renderFinding),
        created,
        revision: revision && renderRevision(revision, ledger.activations.head()),
      };
    }),
  };
}
