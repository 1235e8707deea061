/** Stores and reads whole snapshots, checked by digest, and caches the recent ones in memory. */
import { BoundedMap } from "../../core/bounded-map.js";
import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { EncodedUnit, SnapshotList, Unit, UnitRef } from "../../core/model.js";
import { buildSnapshot, type Snapshot } from "../../core/snapshot/build.js";
import { parseSnapshotList, parseUnit } from "../../core/wire/units.js";
import type { BlobStore } from "../store/ledger.js";

const snapshotsCachedMax = 8;
const atOnceMax = 16;

export class SnapshotStore {
  readonly #blobs: BlobStore;
  /** Snapshots by digest, least recently used first. */
  readonly #cache = new BoundedMap<Digest, Snapshot>(snapshotsCachedMax);

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /**
   * Returns the snapshot with this digest; undefined: the empty one before revision 1. Fails with `stale` if a part is
   * lost.
   */
  async load(digest: Digest | undefined): Promise<Snapshot> {
    if (digest === undefined) return buildSnapshot([]);
    const cached = this.#cache.get(digest);
    if (cached !== undefined) {
      this.#remember(cached);
      return cached;
    }
    const list = await this.loadList(digest);
    const units = await inParallel(list.units, (ref) => this.#loadUnit(ref));
    const snapshot: Snapshot = Object.freeze({ list, units: Object.freeze(units) });
    this.#remember(snapshot);
    return snapshot;
  }

  async loadList(digest: Digest): Promise<SnapshotList> {
    const cached = this.#cache.get(digest);
    return cached?.list ?? parseSnapshotList(await this.#bytes(digest, "the list of a snapshot"), digest);
  }

  /** Returns the unit `name` of the snapshot with this digest; undefined: it has no such unit. */
  async loadUnit(digest: Digest, name: string): Promise<Unit | undefined> {
    const cached = this.#cache.get(digest);
    if (cached !== undefined) return cached.units.find(({ unit }) => unit.name === name)?.unit;
    const ref = (await this.loadList(digest)).units.find((one) => one.name === name);
    return ref && (await this.#loadUnit(ref)).unit;
  }

  /**
   * Stores the units that `known` lacks or that were lost, and then the list, so that a list never names a missing
   * unit.
   */
  async store(snapshot: Snapshot, known: SnapshotList | undefined): Promise<void> {
    const there = new Set(known?.units.map(({ digest }) => digest));
    const missing = snapshot.units.filter(({ digest }) => !there.has(digest) || !this.#blobs.has(digest));
    await inParallel(missing, ({ bytes }) => this.#blobs.put(bytes));
    await this.#blobs.put(snapshot.list.bytes);
    this.#remember(snapshot);
  }

  /** Stores lost parts of a snapshot again that was published before. */
  async restore({ units, list }: Snapshot): Promise<void> {
    const lost = [...units, list].filter(({ digest }) => !this.#blobs.has(digest));
    await inParallel(lost, ({ bytes }) => this.#blobs.put(bytes));
  }

  async #loadUnit(ref: UnitRef): Promise<EncodedUnit> {
    const bytes = await this.#bytes(ref.digest, `the unit ${ref.name}`);
    return Object.freeze({ unit: parseUnit(bytes, ref), bytes, digest: ref.digest });
  }

  async #bytes(digest: Digest, what: string): Promise<Uint8Array> {
    const bytes = await this.#blobs.get(digest);
    if (bytes !== undefined) return bytes;
    throw new AshlarError(
      "stale",
      `${what} (${digest}) is lost: it is neither in the stream nor in this control plane's copy; ` +
        "a proxy that holds it gives it back (docs/recovery.md)",
    );
  }

  #remember(snapshot: Snapshot): void {
    this.#cache.set(snapshot.list.digest, snapshot);
  }
}

/** Maps with a bounded number of concurrent calls. Fails with the first failure. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  act: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = new Array<Result>(items.length);
  const queue = items.entries();
  const work = async () => {
    for (const [index, item] of queue) results[index] = await act(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnceMax, items.length) }, work));
  return results;
}
