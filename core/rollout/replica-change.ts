/** Finds the services whose reads two revisions send to different replicas. Pure. */
import { renderTarget } from "../kinds/route/targets.js";
import type { UnitPair } from "./affected-calls.js";

/** A service with its replicas in both revisions, as text. */
export interface ReplicaChange {
  readonly service: string;
  readonly base: string;
  readonly candidate: string;
}

/**
 * Returns the services whose replica differs. While both revisions are evaluated, a caller's proxy may send a read to an
 * instance that its own proxy takes for a primary, where reads do not wait for the write that they name. A revision
 * without `reads`, or whose reads are direct, is no danger: there the application decides. `pairs`: the units that differ.
 */
export function findReplicaChanges(pairs: readonly UnitPair[]): readonly ReplicaChange[] {
  return pairs.flatMap((pair) => {
    const [base, candidate] = [replicaOf(pair.base), replicaOf(pair.candidate)];
    if (base === undefined || candidate === undefined || base.name === candidate.name) return [];
    return [{ service: candidate.service, base: base.name, candidate: candidate.name }];
  });
}

function replicaOf(unit: UnitPair["base"]): { readonly service: string; readonly name: string } | undefined {
  const journal = unit?.journals.find(({ reads }) => reads !== undefined && reads.way === undefined);
  return journal?.reads && { service: journal.service, name: renderTarget(journal.reads) };
}
