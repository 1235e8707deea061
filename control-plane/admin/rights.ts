/** Which methods a caller may use who may look and not change anything. */
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";

/**
 * Methods that change nothing and reveal no payload of an application. All other methods are for full operators only.
 */
const lookingMethods: ReadonlySet<string> = new Set<keyof typeof AdminServiceService>([
  "checkAccess",
  "diffRevisions",
  "exportAudit",
  "exportRevision",
  "getConvergence",
  "getDecision",
  "getRevision",
  "getRollout",
  "getShadow",
  "getStatus",
  "listAccess",
  "listAudit",
  "listControlPlanes",
  "listDecisions",
  "listProxies",
  "listRevisions",
  "listRollouts",
  "listServices",
  "listSigningKeys",
  "listTokenIssuers",
  "validateRevision",
  "watchActivations",
  "watchTraffic",
]);

/** Returns whether `method`, such as "GetStatus", is one of them. */
export function isLooking(method: string): boolean {
  return lookingMethods.has(`${method.charAt(0).toLowerCase()}${method.slice(1)}`);
}
