import type { Activation, Signed } from "./model.js";
import { isUnderway } from "./rollout/cohort.js";

/** The facts of an activation that the history is computed from. */
export type HistoryEntry = Pick<Activation, "revisionNumber" | "rollbackOf"> & Partial<Pick<Activation, "rollout">>;

/** The revision that a rollback activates, or the reason why there is none. */
export type RollbackTarget =
  | { readonly kind: "target"; readonly revision: number; readonly rollbackOf: number }
  | {
      readonly kind: "refused";
      readonly why: "nothing_active" | "nothing_before" | "already_active" | "unknown_revision";
    };

/** I2: one link after the other, never back, whichever revision it names; the first is epoch 1 without a previous. */
export function mayActivate(seen: Signed<Activation> | undefined, next: Activation): boolean {
  return next.epoch === (seen?.body.epoch ?? 0) + 1 && next.previous === seen?.digest;
}

/**
 * The revisions that rollbacks lead back through, oldest first; the last is active. An activation
 * pushes; a rollback pops down to its revision, or pushes it where the stack has it no more. Activating
 * again what is active (under a new signing key, say) changes nothing, and so does a stage of a rollout
 * before the last: its candidate is not the mesh's revision yet.
 */
export function historyStack(activations: readonly HistoryEntry[]): number[] {
  const stack: number[] = [];
  for (const entry of activations) {
    const { revisionNumber, rollbackOf } = entry;
    if (revisionNumber === stack.at(-1) || isUnderway(entry)) continue;
    const at = rollbackOf === undefined ? -1 : stack.lastIndexOf(revisionNumber);
    if (at >= 0) stack.length = at + 1;
    else stack.push(revisionNumber);
  }
  return stack;
}

/**
 * Where a rollback leads: to the revision below the active one, or to `to`, be it in the stack or not. While a
 * rollout runs it leads from its candidate to its base, which everyone had before. `published` is the highest
 * number of the revision log, above which nothing is known.
 */
export function rollbackTarget(
  activations: readonly HistoryEntry[],
  to?: number,
  published: number = Number.MAX_SAFE_INTEGER,
): RollbackTarget {
  const stack = historyStack(activations);
  const head = activations.at(-1);
  if (head !== undefined && isUnderway(head)) stack.push(head.revisionNumber);
  const active = stack.at(-1);
  if (active === undefined) return { kind: "refused", why: "nothing_active" };
  const revision = to ?? stack.at(-2);
  if (revision === undefined) return { kind: "refused", why: "nothing_before" };
  if (revision === active) return { kind: "refused", why: "already_active" };
  if (!Number.isSafeInteger(revision) || revision < 1 || revision > published) {
    return { kind: "refused", why: "unknown_revision" };
  }
  return { kind: "target", revision, rollbackOf: active };
}
