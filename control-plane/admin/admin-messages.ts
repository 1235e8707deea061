/** Converts the model to messages of the admin API. */
import type { Activation, Finding, Revision, Signed } from "../../core/model.js";
import { isUnderway, revisionInForce } from "../../core/rollout/cohort.js";
import {
  type ActivationInfo,
  type EndpointInfo,
  Finding_Severity,
  type Finding as FindingMessage,
  type ProxyInfo,
  type RevisionInfo,
  type ServiceInfo,
} from "../../proto/gen/ashlar/v1/admin.js";
import { type FleetEntry, type FleetHead, isActive } from "../fleet/fleet-state.js";
import type { ServiceView } from "../registry/registry-state.js";

export function renderFinding(finding: Finding): FindingMessage {
  const severity = finding.severity === "error" ? Finding_Severity.SEVERITY_ERROR : Finding_Severity.SEVERITY_WARNING;
  return { ...finding, severity };
}

export function renderRevision(
  { body, digest }: Signed<Revision>,
  active: Signed<Activation> | undefined,
): RevisionInfo {
  return {
    number: body.number,
    digest,
    parent: body.parent,
    snapshot: body.snapshot,
    author: body.author,
    message: body.message,
    timeMs: body.timeMs,
    active: active !== undefined && revisionInForce(active.body).digest === digest,
    changedUnits: body.changes.map(({ name }) => name),
    approvals: [],
  };
}

export function renderActivation({ body, digest }: Signed<Activation>): ActivationInfo {
  return {
    epoch: body.epoch,
    revision: body.revisionNumber,
    revisionDigest: body.revisionDigest,
    digest,
    author: body.author,
    reason: body.reason,
    rollbackOf: body.rollbackOf ?? 0,
    timeMs: body.timeMs,
    forced: body.forced,
    rollout: body.rollout?.number ?? 0,
    stage: body.rollout?.stage ?? 0,
    base: isUnderway(body) ? (body.rollout?.base.number ?? 0) : 0,
    paused: body.rollout?.paused ?? false,
  };
}

export function renderProxy(
  { heartbeat, lastSeenMs, live, revoked, clockAheadMs }: FleetEntry,
  head: FleetHead,
  endpoint?: EndpointInfo,
): ProxyInfo {
  return {
    id: heartbeat.proxyId,
    service: heartbeat.service,
    version: heartbeat.version,
    epoch: heartbeat.evaluatingEpoch,
    revision: heartbeat.evaluatingRevision,
    digest: heartbeat.evaluatingDigest ?? "",
    seenEpoch: heartbeat.seenEpoch,
    lagMs: heartbeat.lagMs,
    certificateExpiresMs: heartbeat.certificateExpiresMs,
    live,
    active: live && isActive(heartbeat, head),
    prepared: heartbeat.prepared.map(({ number }) => number),
    rejectedReason: heartbeat.rejected?.reason ?? "",
    rejectedRevision: heartbeat.rejected?.number ?? 0,
    bypassable: [...heartbeat.bypassable],
    lastSeenMs,
    serving: heartbeat.serving && revoked === undefined,
    freshnessAgeMs: heartbeat.freshnessAgeMs,
    clockAheadMs: clockAheadMs,
    revokedMs: revoked?.timeMs ?? 0,
    revokedReason: revoked?.reason ?? "",
    workers: heartbeat.workers?.wanted ?? 0,
    workersServing: heartbeat.workers?.serving ?? 0,
    endpoint,
  };
}

export function renderService({ name, endpoints, inPolicy }: ServiceView): ServiceInfo {
  return { name, endpoints: endpoints.map((endpoint): EndpointInfo => ({ ...endpoint })), inPolicy };
}
