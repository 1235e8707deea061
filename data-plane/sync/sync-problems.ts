/** Describes the state of the sync machine in lines for operators and heartbeats. Pure. */
import { revisionFor } from "../../core/rollout/cohort.js";
import { activationLaw, trustLaw } from "./chain-laws.js";
import { headOf, keyOfChain } from "./chain-state.js";
import type { StatementAge } from "./signer-clocks.js";
import type { Refusal, SyncState } from "./sync-model.js";

/** Returns the problems with the logs, or with this proxy's place in them, one line each. */
export function syncProblems(state: SyncState): readonly string[] {
  const problems: string[] = [];
  const epoch = keyOfChain(state.activations, activationLaw);
  if (state.activations.heads.length > 1) problems.push(equivocationMessage("activation", "epoch", epoch));
  if (state.trust.heads.length > 1)
    problems.push(equivocationMessage("trust", "sequence", keyOfChain(state.trust, trustLaw)));
  const [ahead] = state.activations.waiting;
  if (ahead !== undefined) problems.push(`epoch ${ahead.body.epoch} is known, but not its chain from epoch ${epoch}`);
  const rejection = currentRejection(state);
  if (rejection !== undefined) problems.push(`revision ${rejection.number} is rejected: ${rejection.reason}`);
  return problems;
}

/**
 * Returns the rejection to report: of the revision that should be evaluated, of one about to be activated, or of one
 * newer than all prepared ones.
 */
export function currentRejection(state: SyncState): Refusal | undefined {
  const head = headOf(state.activations);
  const target = head && revisionFor(head.body, state.proxyId).digest;
  const newest = state.rejected.reduce<Refusal | undefined>((a, b) => (a && a.number > b.number ? a : b), undefined);
  const highest = Math.max(0, ...state.prepared.map((one) => one.number));
  return (
    state.rejected.find((one) => one.digest === target) ??
    state.rejected.find((one) => state.ordered.some(({ digest }) => digest === one.digest)) ??
    (newest && newest.number > highest ? newest : undefined)
  );
}

/** Returns one line about two records with one key. */
export function equivocationMessage(what: string, key: string, value: number): string {
  return `two ${what} records of ${key} ${value} (equivocation): neither is followed, a higher ${key} cures it`;
}

/** Returns one line about a statement that does not count. */
export function uncountedStatement({ kind, byMs }: Exclude<StatementAge, { kind: "signed" }>): string {
  const seconds = Math.round(byMs / 1000);
  const wrong = "a clock is wrong, here or at the control plane";
  return kind === "ahead"
    ? `statements about the heads of the logs do not count: they are ${seconds} s ahead of what this proxy goes by; ${wrong}`
    : `statements about the heads of the logs do not count: they are ${seconds} s old when they come; they are held back, or ${wrong}`;
}

/** A clock difference above this is reported, in milliseconds. Nothing fails yet at this difference. */
const clockSkewMsMax = 5000;

/** Returns problems with clocks: statements that do not count, and by how much this machine's clock differs. */
export function clockProblems(clocks: {
  readonly clockProblem: string | undefined;
  readonly clockAheadMs: number | undefined;
}): readonly string[] {
  const { clockProblem, clockAheadMs = 0 } = clocks;
  const problems = clockProblem === undefined ? [] : [clockProblem];
  if (Math.abs(clockAheadMs) <= clockSkewMsMax) return problems;
  const off = `${Math.round(Math.abs(clockAheadMs) / 1000)} s ${clockAheadMs > 0 ? "ahead of" : "behind"}`;
  return [...problems, `this machine's clock is ${off} the control plane's: set it by NTP`];
}
