/** The methods of AdminService that the pages call, each with the fields that are read of its answer. */
import {
  accessChange,
  activationInfo,
  controlPlaneInfo,
  natsServerInfo,
  objectChange,
  proxyConvergence,
  proxyInfo,
  revisionInfo,
  rolloutBeside,
  rolloutInfo,
  serviceInfo,
  signingKeyInfo,
  status,
} from "./messages.js";
import { list, maybe, message, number, type Read, text, truth } from "./read.js";
import {
  auditEntry,
  callerAccess,
  checkedAccess,
  decision,
  decisionBatch,
  journalEntryInfo,
} from "./record-messages.js";
import { tapBatch, watchedTraffic } from "./traffic-messages.js";

const activated = message({ activation: maybe(activationInfo) });

/** The methods with one answer. */
export const unary = {
  GetStatus: status,
  ListRevisions: message({ revisions: list(revisionInfo), active: maybe(activationInfo) }),
  GetRevision: message({ revision: maybe(revisionInfo), yaml: text, json: text }),
  DiffRevisions: message({
    objects: list(objectChange),
    access: list(accessChange),
    fromRevision: number,
    toRevision: number,
    fromSnapshot: text,
    toSnapshot: text,
    rollout: maybe(rolloutBeside),
  }),
  ActivateRevision: message({ activation: maybe(activationInfo), created: truth, tookMs: number }),
  Rollback: message({ activation: maybe(activationInfo), tookMs: number, behind: list(text) }),
  ListProxies: message({ proxies: list(proxyInfo) }),
  GetConvergence: message({
    revision: number,
    digest: text,
    epoch: number,
    converged: truth,
    proxies: list(proxyConvergence),
  }),
  ListServices: message({ services: list(serviceInfo) }),
  ListControlPlanes: message({
    controlPlanes: list(controlPlaneInfo),
    natsServers: list(natsServerInfo),
    natsConnected: truth,
  }),
  ListSigningKeys: message({
    sequence: number,
    signingKeys: list(signingKeyInfo),
    revocations: number,
    timeMs: number,
    rootHash: text,
  }),
  ListRollouts: message({ rollouts: list(rolloutInfo) }),
  GetRollout: message({ rollout: maybe(rolloutInfo) }),
  PauseRollout: activated,
  ResumeRollout: activated,
  AdvanceRollout: activated,
  AbortRollout: activated,
  CheckAccess: checkedAccess,
  ListAccess: message({
    revision: number,
    epoch: number,
    callers: list(callerAccess),
    reason: text,
    rollout: maybe(rolloutBeside),
  }),
  GetDecision: message({ service: text, proxyId: text, decision: maybe(decision) }),
  ListAudit: message({ entries: list(auditEntry), chainHolds: truth }),
  ExportAudit: message({ entries: list(text), position: number, complete: truth, head: text }),
  ListJournal: message({ entries: list(journalEntryInfo), refused: number }),
  GetJournalEntry: message({
    entry: maybe(journalEntryInfo),
    request: text,
    response: text,
    operator: text,
    reason: text,
  }),
  ResolveJournalEntry: message({ sequence: number }),
} as const;

/** The methods with a stream of answers. */
export const streams = {
  WatchActivations: message({ activation: maybe(activationInfo) }),
  WatchTraffic: watchedTraffic,
  TapCalls: tapBatch,
  ListDecisions: message({ batch: maybe(decisionBatch) }),
} as const;

export type Unary = keyof typeof unary;
export type AnswerOf<M extends Unary> = Read<(typeof unary)[M]>;
export type Stream = keyof typeof streams;
export type EventOf<M extends Stream> = Read<(typeof streams)[M]>;

/** Who is signed in, and what the session may do. */
export const session = message({ operator: text, rights: list(text), mesh: text, expires: number });
export type Session = Read<typeof session>;
