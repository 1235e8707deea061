/** The admin API as promises, over mutual TLS with the operator's certificate. */
import { isIP } from "node:net";
import { credentials } from "@grpc/grpc-js";
import type { DecisionBatch, DecisionRecord } from "../core/decision/decision-record.js";
import { AshlarError, isAshlarError, messageOf } from "../core/errors.js";
import { nameIn } from "../core/identity.js";
import { batchOf, decisionOf } from "../core/wire/decisions.js";
import {
  type ActivateRevisionRequest,
  type ActivateRevisionResponse,
  type ActivationInfo,
  AdminServiceService,
  type ApproveRevisionResponse,
  type CheckAccessRequest,
  type CheckAccessResponse,
  type CreateJoinTokenRequest,
  type CreateJoinTokenResponse,
  type DiffRevisionsRequest,
  type DiffRevisionsResponse,
  type ExportAuditResponse,
  type ExportRevisionResponse,
  type GetConvergenceResponse,
  type GetRevisionResponse,
  type GetStatusResponse,
  type ImportRevisionRequest,
  type ImportRevisionResponse,
  type IssuerInfo,
  type ListAccessRequest,
  type ListAccessResponse,
  type ListAuditRequest,
  type ListAuditResponse,
  type ListRevisionsRequest,
  type ListRevisionsResponse,
  type PolicyFile,
  type ProxyInfo,
  type PublishRevisionRequest,
  type PublishRevisionResponse,
  type RemoveTokenIssuerRequest,
  type RevokeIdentityResponse,
  type RollbackRequest,
  type RollbackResponse,
  type RolloutInfo,
  type ServiceInfo,
  type SetTokenIssuerRequest,
  type SetTokenIssuerResponse,
  type ShadowInfo,
  type ValidateRevisionResponse,
} from "../proto/gen/ashlar/v1/admin.js";
import type { ListDecisionsRequest } from "../proto/gen/ashlar/v1/decision.js";
import type {
  DropSigningKeyRequest,
  DropSigningKeyResponse,
  ListSigningKeysResponse,
  RotateSigningKeyRequest,
  RotateSigningKeyResponse,
} from "../proto/gen/ashlar/v1/trust.js";
import { parseHostPort } from "../runtime/config.js";
import { callServerStream, callUnary, connectGrpc, type MethodDescription } from "../runtime/grpc-client.js";
import { parseSvid } from "../runtime/tls-identity.js";
import type { AdminContext } from "./context.js";

export type {
  AccessChange,
  ActivationInfo,
  ApprovalInfo,
  CheckAccessResponse,
  DiffRevisionsResponse,
  DiffSide,
  ExportAuditResponse,
  Finding,
  GetConvergenceResponse,
  GetStatusResponse,
  IssuerInfo,
  LimitMet,
  ListAccessResponse,
  ObjectChange,
  PolicyFile,
  ProxyConvergence,
  ProxyInfo,
  RevisionInfo,
  RolloutBeside,
  RolloutInfo,
  RolloutPlan,
  ServiceInfo,
  ShadowInfo,
} from "../proto/gen/ashlar/v1/admin.js";
export type { AuditEntry } from "../proto/gen/ashlar/v1/audit.js";
export type { ListSigningKeysResponse, SigningKeyInfo } from "../proto/gen/ashlar/v1/trust.js";

/** A decision with the proxy that made it. */
export interface DecisionOfProxy {
  readonly service: string;
  readonly proxyId: string;
  readonly decision: DecisionRecord;
}

/**
 * What a command can ask the control plane. Everything fails with the AshlarError that the control plane
 * meant, or with `unavailable` and the address if it could not be reached.
 */
export interface AdminClient {
  validate(files: readonly PolicyFile[]): Promise<ValidateRevisionResponse>;
  publish(request: PublishRevisionRequest): Promise<PublishRevisionResponse>;
  activate(request: ActivateRevisionRequest): Promise<ActivateRevisionResponse>;
  rollback(request: RollbackRequest): Promise<RollbackResponse>;
  /** 0: the active revision. */
  revision(number: number): Promise<GetRevisionResponse>;
  revisions(request: ListRevisionsRequest): Promise<ListRevisionsResponse>;
  diff(request: DiffRevisionsRequest): Promise<DiffRevisionsResponse>;
  proxies(): Promise<readonly ProxyInfo[]>;
  services(): Promise<readonly ServiceInfo[]>;
  checkAccess(request: CheckAccessRequest): Promise<CheckAccessResponse>;
  listAccess(request: ListAccessRequest): Promise<ListAccessResponse>;
  audit(request: ListAuditRequest): Promise<ListAuditResponse>;
  createJoinToken(request: CreateJoinTokenRequest): Promise<CreateJoinTokenResponse>;
  /** Oldest first; ends with what is there. Leaving the loop ends the call. */
  decisions(request: ListDecisionsRequest): AsyncGenerator<DecisionBatch, void, undefined>;
  decision(id: string): Promise<DecisionOfProxy>;
  status(): Promise<GetStatusResponse>;
  /** 0: the active revision. */
  exportRevision(number: number): Promise<ExportRevisionResponse>;
  importRevision(request: ImportRevisionRequest): Promise<ImportRevisionResponse>;
  /** 0: with the active revision. Fails with `not_found` if nothing is active. */
  convergence(revision: number): Promise<GetConvergenceResponse>;
  /** A page of the audit log after `position`. */
  exportAudit(position: number): Promise<ExportAuditResponse>;
  /** 0: the one that runs, else the newest. */
  rollout(number: number): Promise<RolloutInfo>;
  rollouts(limit: number): Promise<readonly RolloutInfo[]>;
  /** 0: the one that runs. Gives the new epoch. */
  orderRollout(what: RolloutOrder, number: number, reason: string): Promise<ActivationInfo>;
  /** `share`: in hundredths of a percent. Gives the new epoch, as `stopShadow` does. */
  startShadow(revision: number, shareBasisPoints: number, reason: string): Promise<ActivationInfo>;
  stopShadow(reason: string): Promise<ActivationInfo>;
  /** undefined: none runs. */
  shadow(): Promise<ShadowInfo | undefined>;
  setTokenIssuer(request: SetTokenIssuerRequest): Promise<SetTokenIssuerResponse>;
  tokenIssuers(): Promise<readonly IssuerInfo[]>;
  removeTokenIssuer(request: RemoveTokenIssuerRequest): Promise<unknown>;
  signingKeys(): Promise<ListSigningKeysResponse>;
  rotateSigningKey(request: RotateSigningKeyRequest): Promise<RotateSigningKeyResponse>;
  dropSigningKey(request: DropSigningKeyRequest): Promise<DropSigningKeyResponse>;
  approve(revision: number, reason: string): Promise<ApproveRevisionResponse>;
  /** A proxy's id, or a certificate's serial number. */
  revoke(id: string, reason: string): Promise<RevokeIdentityResponse>;
  close(): void;
}

export type RolloutOrder = "pause" | "resume" | "abort" | "advance";

const answerMs = 20_000;
const publishMs = 60_000;
const waitMsDefault = 30_000;

/**
 * Opens a client; it connects on the first call.
 * Fails with `invalid_argument` if the context's PEM is no PEM. An IP address may not stand in SNI (RFC 6066 3),
 * so there a name does; neither makes an identity.
 */
export function openAdminClient(context: AdminContext): AdminClient {
  const client = connectGrpc({
    address: context.admin,
    credentials: channelCredentials(context),
    options:
      isIP(parseHostPort(context.admin)?.host ?? "") === 0 ? {} : { "grpc.ssl_target_name_override": "localhost" },
  });
  const call = async <Request, Response>(
    method: MethodDescription<Request, Response>,
    request: Request,
    timeoutMs = answerMs,
  ): Promise<Response> => {
    try {
      return await callUnary(client, method, request, { timeoutMs });
    } catch (error) {
      throw withAddress(error, context.admin, timeoutMs);
    }
  };
  const admin = AdminServiceService;
  return {
    validate: (files) => call(admin.validateRevision, { files: [...files] }, publishMs),
    publish: (request) => call(admin.publishRevision, request, publishMs),
    activate: (request) => call(admin.activateRevision, request, answerMs + request.prepareTimeoutMs),
    rollback: (request) => call(admin.rollback, request, answerMs + (request.waitTimeoutMs || waitMsDefault)),
    revision: (number) => call(admin.getRevision, { number }),
    revisions: (request) => call(admin.listRevisions, request),
    diff: (request) => call(admin.diffRevisions, request, publishMs),
    proxies: async () => (await call(admin.listProxies, {})).proxies,
    services: async () => (await call(admin.listServices, {})).services,
    checkAccess: (request) => call(admin.checkAccess, request),
    listAccess: (request) => call(admin.listAccess, request, publishMs),
    audit: (request) => call(admin.listAudit, request, publishMs),
    createJoinToken: (request) => call(admin.createJoinToken, request),
    decisions: async function* (request) {
      try {
        for await (const { batch } of callServerStream(client, admin.listDecisions, request, {}))
          if (batch !== undefined) yield batchOf(batch, batch); // the control plane has checked whose it is
      } catch (error) {
        throw withAddress(error, context.admin, answerMs);
      }
    },
    decision: async (id) => {
      const { service, proxyId, decision } = await call(admin.getDecision, { id });
      if (decision === undefined) throw new AshlarError("internal", "the control plane answered without a decision");
      return { service, proxyId, decision: decisionOf(decision) };
    },
    status: () => call(admin.getStatus, {}),
    exportRevision: (number) => call(admin.exportRevision, { number }, publishMs),
    exportAudit: (position) => call(admin.exportAudit, { position }, publishMs),
    setTokenIssuer: (request) => call(admin.setTokenIssuer, request),
    tokenIssuers: async () => (await call(admin.listTokenIssuers, {})).issuers,
    removeTokenIssuer: (request) => call(admin.removeTokenIssuer, request),
    signingKeys: () => call(admin.listSigningKeys, {}),
    rotateSigningKey: (request) => call(admin.rotateSigningKey, request),
    dropSigningKey: (request) => call(admin.dropSigningKey, request),
    approve: (revision, reason) => call(admin.approveRevision, { revision, reason }),
    revoke: (id, reason) => call(admin.revokeIdentity, { id, reason }),
    convergence: (revision) => call(admin.getConvergence, { revision }),
    importRevision: (request) => call(admin.importRevision, request, publishMs),
    rollout: async (number) => present((await call(admin.getRollout, { number })).rollout),
    rollouts: async (limit) => (await call(admin.listRollouts, { limit })).rollouts,
    orderRollout: async (what, number, reason) => {
      const { pauseRollout: pause, resumeRollout: resume, abortRollout: abort, advanceRollout: advance } = admin;
      const methods = { pause, resume, abort, advance };
      return present((await call(methods[what], { number, reason })).activation);
    },
    startShadow: async (revision, shareBasisPoints, reason) =>
      present((await call(admin.startShadow, { revision, shareBasisPoints, reason })).activation),
    stopShadow: async (reason) => present((await call(admin.stopShadow, { reason })).activation),
    shadow: async () => (await call(admin.getShadow, {})).shadow,
    close: () => client.close(),
  };
}

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new AshlarError("internal", "the control plane left out what was asked for");
  return value;
}

function channelCredentials({ path, ca, certificate, key }: AdminContext) {
  try {
    return credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate), {
      checkServerIdentity: (_host, { raw }) => checkControlPlane(raw),
    });
  } catch (cause) {
    const message = `the context ${path} holds a certificate or key that cannot be used: ${messageOf(cause)}`;
    throw new AshlarError("invalid_argument", message, { cause });
  }
}

/** Who signs is checked against the context's CA; who it is goes by the SPIFFE ID and no host name. */
function checkControlPlane(der: Uint8Array): Error | undefined {
  try {
    const { spiffeId, trustDomain } = parseSvid(der);
    if (nameIn(spiffeId, trustDomain, "control-plane") !== undefined) return undefined;
    return new AshlarError("invalid_identity", `${spiffeId} is not a control plane`);
  } catch (error) {
    return error instanceof Error ? error : new Error(messageOf(error));
  }
}

function withAddress(error: unknown, address: string, timeoutMs: number): unknown {
  if (!isAshlarError(error) || answered(error)) return error;
  if (error.code === "deadline") {
    const message = `the control plane at ${address} did not answer within ${timeoutMs / 1000} s`;
    return new AshlarError("unavailable", message, { cause: error });
  }
  if (error.code !== "unavailable") return error;
  const message = `could not reach the control plane at ${address}: ${error.message}; is \`ashlar up\` running?`;
  return new AshlarError("unavailable", message, { cause: error });
}

/** Only a control plane that was reached says more than a status. */
function answered({ cause }: AshlarError): boolean {
  const metadata = cause instanceof Error && "metadata" in cause ? cause.metadata : undefined;
  if (typeof metadata !== "object" || metadata === null || !("get" in metadata)) return false;
  const { get } = metadata;
  if (typeof get !== "function") return false;
  const details: unknown = get.call(metadata, "grpc-status-details-bin");
  return Array.isArray(details) && details.length > 0;
}
