/** The admin API's methods about who may call what. */
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { Clock } from "../../runtime/clock.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import { inputsAsAsked } from "./asked-inputs.js";
import type { PolicyReader } from "./policy-reader.js";

export interface AccessMethodsDeps extends OperatedDeps {
  readonly policy: Pick<PolicyReader, "checkAccess" | "listAccess">;
  readonly clock: Clock;
}

type AccessMethods = Pick<Implementation<typeof AdminServiceService>, "checkAccess" | "listAccess">;

export function accessMethods(deps: AccessMethodsDeps): AccessMethods {
  const { policy, clock } = deps;
  const operated = operatedBy(deps);
  return {
    checkAccess: operated(async ({ caller, service, method, revision, headers, claims, tokenIssuer }) => {
      const inputs = inputsAsAsked(headers, { claims, tokenIssuer }, clock.nowMs());
      const { limits, ...verdict } = await policy.checkAccess(caller, service, method, revision, inputs);
      return { ...verdict, limits: limits.map((limit) => ({ ...limit, per: [...limit.per] })) };
    }),
    listAccess: operated(async (request) => {
      const { callers, ...about } = await policy.listAccess(request);
      return { ...about, callers: [...callers] };
    }),
  };
}
