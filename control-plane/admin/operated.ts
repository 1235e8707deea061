/** Wraps every method of the admin API so that it refuses callers that are not operators of this mesh. */
import { AshlarError } from "../../core/errors.js";
import { nameIn } from "../../core/identity.js";
import { refuseUnknownFields } from "../../core/wire/strict.js";
import { type CallContext, requireCaller, unary } from "../../runtime/grpc-handlers.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { Logins } from "../audit/logins.js";
import { isLooking } from "./rights.js";

export interface OperatedDeps {
  readonly mesh: string;
  readonly audit: AuditTrail;
  readonly logins: Pick<Logins, "note">;
}

/**
 * Returns a unary handler that only operators of this mesh reach. A request with a field that this version does not
 * know is refused: the field may restrict what a newer client's rollback does.
 */
export const operatedBy =
  (deps: OperatedDeps) =>
  <Request extends object, Response>(
    handle: (request: Request, caller: OperatorCaller, signal: AbortSignal) => Promise<Response> | Response,
  ) =>
    unary(async (request: Request, context: CallContext) => {
      const caller = await authorize(deps, context);
      refuseUnknownFields(request, "the request");
      return handle(request, caller, context.signal);
    });

/**
 * Returns the calling operator, whose logins are recorded at intervals. Any other caller is denied, and that is
 * recorded.
 */
export async function authorize(deps: OperatedDeps, context: CallContext): Promise<OperatorCaller> {
  const id = requireCaller(context);
  const { source, certificateSerial = "", certificateExpiresMs = 0 } = context;
  const target = context.method.slice(context.method.lastIndexOf("/") + 1);
  const refusal = { action: "refuse" as const, target, caller: { id, source }, detail: "" };
  if (nameIn(id, deps.mesh, "operator") === undefined) {
    return audited(deps.audit, refusal, async () => {
      throw new AshlarError("denied", `${id} is not an operator of mesh ${deps.mesh}`);
    });
  }
  if (context.console?.readOnly === true && !isLooking(target)) {
    return audited(deps.audit, refusal, async () => {
      throw new AshlarError(
        "denied",
        `${target}: this session may look and change nothing; log in without --read-only`,
      );
    });
  }
  await deps.logins.note({ id, source }, certificateSerial);
  return { id, source, certificateSerial, certificateExpiresMs, viaConsole: context.console !== undefined };
}
