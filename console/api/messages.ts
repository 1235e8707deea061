/** The fields of the contract (proto/ashlar/v1) that the pages show about revisions, activations and the fleet. */
import { list, maybe, message, number, type Read, text, truth } from "./read.js";

export const approvalInfo = message({ operator: text, reason: text, timeMs: number });

export const revisionInfo = message({
  number: number,
  digest: text,
  parent: text,
  snapshot: text,
  author: text,
  message: text,
  timeMs: number,
  active: truth,
  changedUnits: list(text),
  approvals: list(approvalInfo),
});
export type RevisionInfo = Read<typeof revisionInfo>;

export const activationInfo = message({
  epoch: number,
  revision: number,
  revisionDigest: text,
  digest: text,
  author: text,
  reason: text,
  rollbackOf: number,
  timeMs: number,
  forced: truth,
  rollout: number,
  stage: number,
  base: number,
  paused: truth,
});
export type ActivationInfo = Read<typeof activationInfo>;

export const objectChange = message({ change: text, kind: text, name: text, lines: list(text) });
export type ObjectChange = Read<typeof objectChange>;

export const accessChange = message({
  caller: text,
  service: text,
  method: text,
  change: text,
  before: text,
  after: text,
});
export type AccessChange = Read<typeof accessChange>;

export const rolloutBeside = message({ number: number, candidate: number, base: number, stage: number });

export const gateFigure = message({ gate: text, outcome: text, text: text });
export type GateFigure = Read<typeof gateFigure>;

export const rolloutInfo = message({
  number: number,
  digest: text,
  state: text,
  candidate: number,
  base: number,
  stages: list(text),
  stage: number,
  stageSinceMs: number,
  holdMs: number,
  author: text,
  reason: text,
  timeMs: number,
  epochs: list(number),
  endEpoch: number,
  endAuthor: text,
  endReason: text,
  figures: list(gateFigure),
  waitsFor: list(text),
  members: number,
  about: list(text),
});
export type RolloutInfo = Read<typeof rolloutInfo>;

export const problem = message({ code: text, message: text, subject: text });
export type Problem = Read<typeof problem>;

export const status = message({
  mesh: text,
  epoch: number,
  revision: number,
  headRevision: number,
  total: number,
  prepared: number,
  active: number,
  behind: number,
  rejected: number,
  healthy: truth,
  problems: list(text),
  bypassable: list(text),
  trustSequence: number,
  rollout: maybe(rolloutInfo),
  problemDetails: list(problem),
});
export type Status = Read<typeof status>;

export const proxyInfo = message({
  id: text,
  service: text,
  version: text,
  epoch: number,
  revision: number,
  digest: text,
  seenEpoch: number,
  lagMs: number,
  certificateExpiresMs: number,
  live: truth,
  active: truth,
  prepared: list(number),
  rejectedReason: text,
  rejectedRevision: number,
  bypassable: list(text),
  lastSeenMs: number,
  serving: truth,
  freshnessAgeMs: number,
  clockAheadMs: maybe(number),
  revokedMs: number,
  revokedReason: text,
  workers: number,
  workersServing: number,
});
export type ProxyInfo = Read<typeof proxyInfo>;

export const proxyConvergence = message({
  id: text,
  service: text,
  version: text,
  state: text,
  reason: text,
  desiredEpoch: number,
  desiredRevision: number,
  receivedEpoch: number,
  prepared: truth,
  active: truth,
  evaluatingEpoch: number,
  evaluatingRevision: number,
  lagMs: number,
  lastSeenMs: number,
  live: truth,
});
export type ProxyConvergence = Read<typeof proxyConvergence>;

export const endpointInfo = message({
  instance: text,
  version: text,
  address: text,
  healthy: truth,
  proxyId: text,
  why: text,
});
export type EndpointInfo = Read<typeof endpointInfo>;

export const serviceInfo = message({ name: text, endpoints: list(endpointInfo), inPolicy: truth });
export type ServiceInfo = Read<typeof serviceInfo>;

export const controlPlaneInfo = message({ name: text, self: truth, silent: truth, heardAgoMs: number });
export type ControlPlaneInfo = Read<typeof controlPlaneInfo>;

export const natsServerInfo = message({ address: text, name: text, connected: truth });
export type NatsServerInfo = Read<typeof natsServerInfo>;

export const signingKeyInfo = message({
  kid: text,
  holder: text,
  inUse: truth,
  signedActive: truth,
  keptBecause: text,
});
export type SigningKeyInfo = Read<typeof signingKeyInfo>;
