/** The admin API's method that mints join tokens. */
import { AshlarError } from "../../core/errors.js";
import type { AdminServiceService, CreateJoinTokenRequest } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import { audited } from "../audit/audit-trail.js";
import type { JoinTokens } from "./join-tokens.js";

export interface TokenMethodsDeps extends OperatedDeps {
  readonly tokens: Pick<JoinTokens, "createToken">;
  /** True if this control plane began the mesh, so that it can let further ones join. */
  readonly holdsRoot: boolean;
}

type TokenMethods = Pick<Implementation<typeof AdminServiceService>, "createJoinToken">;

const tokenTtlMsMax = 24 * 3_600_000;

export function tokenMethods(deps: TokenMethodsDeps): TokenMethods {
  return { createJoinToken: operatedBy(deps)((request, caller) => createJoinToken(deps, request, caller)) };
}

async function createJoinToken(deps: TokenMethodsDeps, request: CreateJoinTokenRequest, caller: OperatorCaller) {
  const { service, version, ttlMs, uses, controlPlane } = request;
  const named = controlPlane === "" ? `service ${service.slice(0, 64)}` : `control plane ${controlPlane.slice(0, 64)}`;
  const what = { action: "token" as const, target: named, caller, detail: "" };
  const { token, expiresMs } = await audited(
    deps.audit,
    what,
    async () => {
      if (ttlMs > tokenTtlMsMax)
        throw new AshlarError("invalid_argument", `ttl_ms: at most ${tokenTtlMsMax}, got ${ttlMs}`);
      if (controlPlane !== "" && !deps.holdsRoot)
        throw new AshlarError(
          "denied",
          "only the control plane that began the mesh lets further ones join: ask that one",
        );
      return deps.tokens.createToken({
        service,
        controlPlane: controlPlane === "" ? undefined : controlPlane,
        version: version === "" ? undefined : version,
        ttlMs: ttlMs === 0 ? undefined : ttlMs,
        uses: uses === 0 ? undefined : uses,
      });
    },
    (minted) => ({
      detail: `${minted.service === "" ? "" : `version ${minted.version}, `}${minted.uses} uses, until ${new Date(minted.expiresMs).toISOString()}`,
    }),
  );
  return { token, expiresMs };
}
