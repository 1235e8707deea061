/** The fields of the contract that the pages show about access, decisions, the audit log and journals. */
import { list, message, number, type Read, raw, text, truth } from "./read.js";

export const limitMet = message({ name: text, rate: text, burst: number, cost: number, per: list(text), scope: text });

export const checkedAccess = message({
  allowed: truth,
  rule: text,
  revision: number,
  epoch: number,
  reason: text,
  limits: list(limitMet),
  judgedMethod: text,
});
export type CheckedAccess = Read<typeof checkedAccess>;

export const callerAccess = message({
  caller: text,
  access: text,
  rule: text,
  condition: text,
  judgedMethod: text,
});
export type CallerAccess = Read<typeof callerAccess>;

const header = message({ name: text, state: text, value: text });
const label = message({ key: text, value: text });
const claim = message({ name: text, state: text, value: raw });
const limitOutcome = message({ name: text, passed: truth, pushbackMs: number });

export const decision = message({
  id: text,
  direction: text,
  service: text,
  caller: text,
  method: text,
  verdict: text,
  rule: text,
  revision: number,
  epoch: number,
  timeMs: number,
  headers: list(header),
  sourceAddress: text,
  labels: list(label),
  version: text,
  available: list(text),
  limits: list(limitOutcome),
  claims: list(claim),
  closed: truth,
  shadow: truth,
  tokenIssuer: text,
  tokenProblem: text,
  mirrored: truth,
  calledMethod: text,
  sentMethod: text,
  attempts: number,
});
export type Decision = Read<typeof decision>;

export const refusalCount = message({
  caller: text,
  method: text,
  rule: text,
  verdict: text,
  revision: number,
  count: number,
  fromMs: number,
  untilMs: number,
});
export type RefusalCount = Read<typeof refusalCount>;

export const decisionBatch = message({
  service: text,
  proxyId: text,
  share: number,
  dropped: number,
  counted: list(refusalCount),
  decisions: list(decision),
});
export type DecisionBatch = Read<typeof decisionBatch>;

export const auditEntry = message({
  sequence: number,
  previous: text,
  timeMs: number,
  actor: text,
  source: text,
  action: text,
  target: text,
  outcome: text,
  detail: text,
});
export type AuditEntry = Read<typeof auditEntry>;

export const journalEntryInfo = message({
  service: text,
  sequence: number,
  timeMs: number,
  principal: text,
  user: text,
  method: text,
  key: text,
  order: text,
  expected: number,
  revision: number,
  epoch: number,
  decision: text,
  proxyId: text,
  valid: truth,
  settled: truth,
  code: number,
  settledBy: number,
  requestBytes: number,
  messagesRecords: number,
});
export type JournalEntryInfo = Read<typeof journalEntryInfo>;
