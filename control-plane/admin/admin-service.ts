/** Binds the admin API from the methods of all features. */
import { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import { type BoundService, bindService } from "../../runtime/grpc-handlers.js";
import { activateMethods } from "../activate/activate-methods.js";
import { auditMethods } from "../audit/audit-methods.js";
import { consoleMethods } from "../console/console-methods.js";
import { decisionMethods } from "../decisions/decision-methods.js";
import { egressMethods } from "../egress/egress-methods.js";
import { convergenceMethods } from "../fleet/convergence-methods.js";
import { fleetMethods } from "../fleet/fleet-methods.js";
import { controlPlaneMethods } from "../freshness/control-plane-methods.js";
import { tokenMethods } from "../identity/token-methods.js";
import { issuerMethods } from "../issuers/issuer-methods.js";
import { journalExportMethods } from "../journal/journal-export-methods.js";
import { journalImportMethods } from "../journal/journal-import-methods.js";
import { journalMethods } from "../journal/journal-methods.js";
import { replayMethods } from "../journal/replay-methods.js";
import { lookMethods } from "../look/look-methods.js";
import { accessMethods } from "../publish/access-methods.js";
import { promotionMethods } from "../publish/promotion-methods.js";
import { publishMethods } from "../publish/publish-methods.js";
import { revisionMethods } from "../publish/revision-methods.js";
import { recoverMethods } from "../recover/recover-methods.js";
import { rolloutMethods } from "../rollout/rollout-methods.js";
import { shadowMethods } from "../shadow/shadow-methods.js";
import { trustMethods } from "../trust/trust-methods.js";

/** The features of the admin API. This does not compile unless together they implement every method. */
const features = [
  accessMethods,
  activateMethods,
  auditMethods,
  consoleMethods,
  controlPlaneMethods,
  convergenceMethods,
  decisionMethods,
  egressMethods,
  fleetMethods,
  issuerMethods,
  journalExportMethods,
  journalImportMethods,
  journalMethods,
  lookMethods,
  promotionMethods,
  publishMethods,
  recoverMethods,
  replayMethods,
  revisionMethods,
  rolloutMethods,
  shadowMethods,
  tokenMethods,
  trustMethods,
] as const;

type Feature = (typeof features)[number];
type Together<Union> = (Union extends unknown ? (each: Union) => void : never) extends (all: infer All) => void
  ? All
  : never;

/** The dependencies of all features. */
export type AdminServiceDeps = Together<Parameters<Feature>[0]>;

/** The most bytes of a request: 8 MiB of files, with room for their names and the framing. */
export const adminMessageBytesMax = 9 * 1024 * 1024;

/** Binds AdminService. Serve it with `messageBytesMax: adminMessageBytesMax` to clients with certificates only. */
export function createAdminService(deps: AdminServiceDeps): BoundService {
  const methods = features.map((feature) => feature(deps));
  return bindService(AdminServiceService, Object.assign({}, ...methods) as Together<ReturnType<Feature>>);
}
