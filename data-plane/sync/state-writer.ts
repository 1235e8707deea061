/** Brings the state on disk up to date behind the running proxy: one writer at a time, what fails is tried again later. */
import type { Digest } from "../../core/digest.js";
import { messageOf } from "../../core/errors.js";
import type { CalledServices } from "./called-services.js";
import type { DiskCache, LastGood } from "./disk-cache.js";
import type { HeldRevision } from "./held-revision.js";
import type { SyncState } from "./sync-model.js";

/** What there is to write, asked for when it is written. */
export interface StateToWrite {
  held(): Iterable<HeldRevision>;
  lastGood(): LastGood | undefined;
  called(): CalledServices;
}

export class StateWriter {
  readonly #cache: DiskCache;
  readonly #state: StateToWrite;
  readonly #blobs = new Map<Digest, Uint8Array>();
  #revisionsChanged = false;
  #calledChanged = false;
  #running: Promise<void> | undefined;
  #again = false;
  #trouble: string | undefined;

  constructor(cache: DiskCache, state: StateToWrite) {
    this.#cache = cache;
    this.#state = state;
  }

  /** Why the last attempt failed; undefined: it did not. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Blobs of a revision that is held now. */
  add(blobs: Iterable<readonly [Digest, Uint8Array]>): void {
    for (const [digest, bytes] of blobs) this.#blobs.set(digest, bytes);
    this.#revisionsChanged = true;
  }

  switched(): void {
    this.#revisionsChanged = true;
  }

  calledChanged(): void {
    this.#calledChanged = true;
  }

  /** Writes what changed; resolves when it was tried. Never rejects. */
  async write(): Promise<void> {
    if (this.#running !== undefined) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#writeAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #writeAll(): Promise<void> {
    do {
      this.#again = false;
      try {
        if (this.#revisionsChanged) await this.#writeRevisions();
        if (this.#calledChanged) {
          this.#calledChanged = false;
          await this.#cache.saveCalled(this.#state.called());
        }
        this.#trouble = undefined;
      } catch (error) {
        this.#trouble = messageOf(error);
        this.#revisionsChanged = true;
        this.#calledChanged = true;
      }
    } while (this.#again && this.#trouble === undefined);
  }

  /** Parts before what names them, so that a crash in between leaves the old state whole. */
  async #writeRevisions(): Promise<void> {
    this.#revisionsChanged = false;
    const held = [...this.#state.held()];
    const used = new Map<Digest, Uint8Array>();
    for (const { revision, list, units } of held) {
      used.set(revision.digest, revision.bytes);
      used.set(list.digest, list.bytes);
      for (const { digest } of units.values()) {
        const bytes = this.#blobs.get(digest);
        if (bytes !== undefined) used.set(digest, bytes);
      }
    }
    for (const digest of this.#blobs.keys()) if (!used.has(digest)) this.#blobs.delete(digest);
    await this.#cache.saveBlobs(used);
    for (const digest of used.keys()) this.#blobs.delete(digest);
    const lastGood = this.#state.lastGood();
    if (lastGood === undefined) return;
    await this.#cache.saveLastGood(lastGood);
    await this.#cache.removeUnused(this.#state.held());
  }
}

/** What to start from next time: what is evaluated, and the revisions that are held, those active last first. */
export function lastGoodOf(state: SyncState, lagMs: number, isHeld: (digest: Digest) => boolean): LastGood | undefined {
  const { evaluating, history, prepared } = state;
  if (evaluating === undefined) return undefined;
  const active = history.filter((one) => isHeld(one.digest));
  const others = prepared.filter((one) => !active.some((other) => other.digest === one.digest));
  return { activation: evaluating, lagMs, revisions: [...active, ...others] };
}
