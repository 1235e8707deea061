/** Reads the snapshots of a rollout's base and candidate, and computes which calls the change affects. */
import { BoundedMap } from "../../core/bounded-map.js";
import { AshlarError } from "../../core/errors.js";
import type { PreparedRevision, SnapshotList } from "../../core/model.js";
import { type AffectedCalls, findAffectedCalls, type UnitPair } from "../../core/rollout/affected-calls.js";
import { findReplicaChanges, type ReplicaChange } from "../../core/rollout/replica-change.js";
import type { SnapshotStore } from "../publish/snapshot-store.js";
import type { Ledger } from "../store/ledger.js";

export interface AffectedReaderDeps {
  readonly ledger: Pick<Ledger, "revisions">;
  readonly snapshots: Pick<SnapshotStore, "loadList" | "loadUnit">;
}

export interface AffectedReader {
  /**
   * Compares two revisions in either order, with any number of revisions between them. Fails with `unavailable` if a
   * part of one cannot be read.
   */
  compare(base: PreparedRevision, candidate: PreparedRevision): Promise<readonly AffectedCalls[]>;
  /** Returns the services whose reads the two send to different replicas. Fails as `compare`. */
  replicaChanges(base: PreparedRevision, candidate: PreparedRevision): Promise<readonly ReplicaChange[]>;
  /** Returns the result of `compare`, or undefined if it has not finished. */
  find(base: PreparedRevision, candidate: PreparedRevision): readonly AffectedCalls[] | undefined;
}

const comparedMax = 8;

export function createAffectedReader({ ledger, snapshots }: AffectedReaderDeps): AffectedReader {
  const compared = new BoundedMap<string, readonly AffectedCalls[]>(comparedMax);
  const keyOf = (base: PreparedRevision, candidate: PreparedRevision) => `${base.digest} ${candidate.digest}`;
  const snapshotOf = ({ number, digest }: PreparedRevision) => {
    const revision = ledger.revisions.find(number);
    if (revision?.digest === digest) return revision.body.snapshot;
    throw new AshlarError("unavailable", `revision ${number} is not in the log as the rollout names it`);
  };
  /** The units that differ. */
  const pairsOf = async (base: PreparedRevision, candidate: PreparedRevision): Promise<readonly UnitPair[]> => {
    const [from, to] = [snapshotOf(base), snapshotOf(candidate)];
    const [a, b] = await Promise.all([snapshots.loadList(from), snapshots.loadList(to)]);
    const loadPair = async (name: string) => {
      const [before, after] = await Promise.all([snapshots.loadUnit(from, name), snapshots.loadUnit(to, name)]);
      return { base: before, candidate: after };
    };
    return Promise.all(namesThatDiffer(a, b).map(loadPair));
  };
  return {
    async compare(base, candidate) {
      const key = keyOf(base, candidate);
      const known = compared.get(key);
      if (known !== undefined) return known;
      const found = findAffectedCalls(await pairsOf(base, candidate));
      compared.set(key, found);
      return found;
    },
    replicaChanges: async (base, candidate) => findReplicaChanges(await pairsOf(base, candidate)),
    find: (base, candidate) => compared.get(keyOf(base, candidate)),
  };
}

function namesThatDiffer(a: SnapshotList, b: SnapshotList): readonly string[] {
  const digests = new Map(a.units.map(({ name, digest }) => [name, digest]));
  const changed = b.units.filter(({ name, digest }) => digests.get(name) !== digest).map(({ name }) => name);
  const there = new Set(b.units.map(({ name }) => name));
  return [...changed, ...a.units.map(({ name }) => name).filter((name) => !there.has(name))];
}
