/** The admin API's method that decides between two records with the same number. */
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { Chooser } from "./chooser.js";

export interface RecoverMethodsDeps extends OperatedDeps {
  readonly chooser: Chooser;
}

type RecoverMethods = Pick<Implementation<typeof AdminServiceService>, "chooseRecord">;

export function recoverMethods(deps: RecoverMethodsDeps): RecoverMethods {
  const operated = operatedBy(deps);
  return {
    chooseRecord: operated(({ digest, reason }, caller) => deps.chooser.choose(digest, reason, caller)),
  };
}
