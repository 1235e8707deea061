/** The admin API's handlers: each authorizes, parses, calls and renders. */
import { AshlarError } from "../../core/errors.js";
import type { Signer } from "../../core/signature.js";
import type { AuditEntry } from "../../core/wire/audit.js";
import { AdminServiceService, type CreateJoinTokenRequest, type DiffSide } from "../../proto/gen/ashlar/v1/admin.js";
import type { AuditEntry as AuditEntryMessage } from "../../proto/gen/ashlar/v1/audit.js";
import type { Clock } from "../../runtime/clock.js";
import { type BoundService, bindService, type Implementation, serverStreaming } from "../../runtime/grpc-handlers.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import type { Activator } from "../activate/activator.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import type { Rollback } from "../activate/rollback.js";
import type { AuditLog } from "../audit/audit-log.js";
import type { AuditPage } from "../audit/audit-pages.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { FleetView } from "../fleet/fleet-loop.js";
import type { FleetHead } from "../fleet/fleet-state.js";
import type { JoinTokens } from "../identity/join-tokens.js";
import type { Issuers } from "../issuers/issuers.js";
import type { PolicyReader, PolicySide } from "../publish/policy-reader.js";
import type { Publisher } from "../publish/publisher.js";
import type { RegistryState } from "../registry/registry-state.js";
import type { Rollouts } from "../rollout/rollouts.js";
import type { Shadows } from "../shadow/shadows.js";
import type { Ledger } from "../store/ledger.js";
import { renderActivation, renderFinding, renderProxy, renderRevision, renderService } from "./admin-messages.js";
import { inputsAsAsked } from "./asked-inputs.js";
import { auditMethods } from "./audit-methods.js";
import { bounded } from "./bounded.js";
import { convergenceMethods } from "./convergence-methods.js";
import { type DecisionDeps, decisionMethods } from "./decision-methods.js";
import { issuerMethods } from "./issuer-methods.js";
import { type MeshStatusDeps, meshStatus } from "./mesh-status.js";
import { authorize, operatedBy } from "./operated.js";
import { promotionMethods } from "./promotion-methods.js";
import { type RevisionMethodsDeps, revisionMethods } from "./revision-methods.js";
import { parseActivateRequest, rolloutMethods } from "./rollout-methods.js";
import { shadowMethods } from "./shadow-methods.js";
import { type TrustMethodsDeps, trustMethods } from "./trust-methods.js";
import { watchActivations } from "./watch-activations.js";

export interface AdminServiceDeps extends DecisionDeps, TrustMethodsDeps, RevisionMethodsDeps, MeshStatusDeps {
  readonly mesh: string;
  readonly ledger: Ledger;
  readonly publisher: Publisher;
  readonly policy: PolicyReader;
  readonly activator: Activator;
  readonly rollback: Rollback;
  readonly rollouts: Rollouts;
  readonly shadows: Shadows;
  readonly fleet: FleetView;
  readonly registry: RegistryState;
  readonly reader: Pick<StatementReader, "revocationOf">;
  readonly tokens: Pick<JoinTokens, "createToken">;
  readonly issuers: Issuers;
  readonly audit: AuditTrail;
  /** This control plane began the mesh: it lets further ones join. */
  readonly holdsRoot: boolean;
  readonly auditLog: Pick<AuditLog, "list" | "head">;
  readonly auditPage: (position: number) => Promise<AuditPage>;
  /** Of this control plane's records. */
  readonly signer: Signer;
  readonly clock: Clock;
}

/** Files of 8 MiB with their names, and what frames them. */
export const adminMessageBytesMax = 9 * 1024 * 1024;
const auditDefault = 1000;
const auditMax = 10_000;
const tokenTtlMsMax = 24 * 3_600_000;

/** Binds AdminService. Serve it with `messageBytesMax: adminMessageBytesMax` to clients with certificates only. */
export function createAdminService(deps: AdminServiceDeps): BoundService {
  const { ledger, policy } = deps;
  const operated = operatedBy(deps);
  return bindService(AdminServiceService, {
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
      const { findings, created, revision } = await deps.publisher.publish(
        { ...request, parent: request.parent },
        caller,
      );
      return {
        findings: findings.map(renderFinding),
        created,
        revision: revision && renderRevision(revision, ledger.activations.head()),
      };
    }),
    activateRevision: operated(async (request, caller, signal) => {
      const { activation, created, tookMs } = await deps.activator.activate(
        parseActivateRequest(request),
        caller,
        signal,
      );
      return { activation: renderActivation(activation), created, tookMs };
    }),
    rollback: operated(async (request, caller, signal) => {
      const options = { ...request, to: request.to };
      const { activation, tookMs, behind } = await deps.rollback.rollback(options, caller, signal);
      return { activation: renderActivation(activation), tookMs, behind: [...behind] };
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
    watchActivations: serverStreaming(async function* (request, context) {
      await authorize(deps, context);
      for await (const activation of watchActivations(ledger.activations, request.fromEpoch, context.signal)) {
        yield { activation: renderActivation(activation) };
      }
    }),
    ...revisionMethods(deps),
    ...promotionMethods(deps),
    ...convergenceMethods(deps),
    ...auditMethods(deps),
    ...decisionMethods(deps),
    ...besideMethods(deps),
    ...lookingMethods(deps),
  });
}

/** About candidates that run beside the revision of the mesh, and about the trust log beside policy. */
function besideMethods(deps: AdminServiceDeps) {
  const operated = operatedBy(deps);
  const candidates = { ...rolloutMethods(deps.rollouts, operated), ...shadowMethods(deps.shadows, operated) };
  return { ...candidates, ...issuerMethods(deps), ...trustMethods(deps) };
}

type AdminMethods = Implementation<typeof AdminServiceService>;
type LookingMethods = Pick<
  AdminMethods,
  "listProxies" | "listServices" | "checkAccess" | "listAccess" | "listAudit" | "createJoinToken" | "getStatus"
>;

/** What is asked about the fleet, access and the past, and tokens. */
function lookingMethods(deps: AdminServiceDeps): LookingMethods {
  const { ledger, policy, fleet, clock } = deps;
  const head = (): FleetHead => ledger.activations.head()?.body;
  const operated = operatedBy(deps);
  return {
    listProxies: operated(async () => ({ proxies: fleet.list().map((entry) => renderProxy(entry, head())) })),
    listServices: operated(async () => {
      const services = deps.registry.list(fleet.list(), await policy.activeServices(), {
        revocationOf: (serial) => deps.reader.revocationOf(serial),
        nowMs: deps.clock.nowMs(),
      });
      return { services: services.map(renderService) };
    }),
    checkAccess: operated(async ({ caller, service, method, revision, headers, claims, tokenIssuer }) => {
      const inputs = inputsAsAsked(headers, { claims, tokenIssuer }, clock.nowMs());
      const { limits, ...verdict } = await policy.checkAccess(caller, service, method, revision, inputs);
      return { ...verdict, limits: limits.map((limit) => ({ ...limit, per: [...limit.per] })) };
    }),
    listAccess: operated(async (request) => {
      const { callers, ...about } = await policy.listAccess(request);
      return { ...about, callers: [...callers] };
    }),
    listAudit: operated(async ({ sinceMs, limit }) => {
      const { entries, chainHolds } = await deps.auditLog.list({
        sinceMs,
        limit: bounded("limit", limit, auditDefault, auditMax),
      });
      return { entries: entries.map(renderAuditEntry), chainHolds };
    }),
    createJoinToken: operated((request, caller) => createJoinToken(deps, request, caller)),
    getStatus: operated(() => meshStatus(deps, clock.nowMs())),
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

async function createJoinToken(deps: AdminServiceDeps, request: CreateJoinTokenRequest, caller: OperatorCaller) {
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

function renderAuditEntry(entry: AuditEntry): AuditEntryMessage {
  return { ...entry, previous: Buffer.from(entry.previous ?? "", "hex"), id: Buffer.from(entry.id, "hex") };
}
