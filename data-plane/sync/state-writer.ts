/**
 * Keeps the state on disk up to date in the background. One write runs at a time, and a failed one is retried later.
 */
import type { Digest } from "../../core/digest.js";
import { messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { CalledServices } from "./called-services.js";
import type { DiskCache, LastGood } from "./disk-cache.js";
import type { HeldRevision } from "./held-revision.js";
import type { SyncState } from "./sync-model.js";

export interface StateWriterDeps {
  readonly cache: DiskCache;
  readonly clock: Clock;
  readonly random: () => number;
  /** After this aborts, nothing is written unless `write` is called. */
  readonly signal: AbortSignal;
  // The following functions are called when the state is written.
  held(): Iterable<HeldRevision>;
  lastGood(): LastGood | undefined;
  called(): CalledServices;
}

/**
 * How long after a switch the evaluated state is written, in milliseconds. The floor is on disk already, and a start
 * from the floor catches up.
 */
const afterSwitchMs = 500;

export class StateWriter {
  readonly #deps: StateWriterDeps;
  readonly #blobs = new Map<Digest, Uint8Array>();
  #partsChanged = false;
  #lastGoodChanged = false;
  #calledChanged = false;
  #lastGoodWritten = false;
  #soon = false;
  #running: Promise<void> | undefined;
  #again = false;
  #trouble: string | undefined;

  constructor(deps: StateWriterDeps) {
    this.#deps = deps;
  }

  /** Returns why the last attempt failed, or undefined if it did not. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Adds the blobs of a revision that is held now. */
  add(blobs: Iterable<readonly [Digest, Uint8Array]>): void {
    for (const [digest, bytes] of blobs) this.#blobs.set(digest, bytes);
    this.#partsChanged = true;
  }

  /** Adds a unit of a held revision. It is written at once. */
  fetched(digest: Digest, bytes: Uint8Array): void {
    this.add([[digest, bytes]]);
    void this.write();
  }

  /** Notes that a revision is no longer held. */
  dropped(): void {
    this.#partsChanged = true;
  }

  /**
   * Notes that the evaluated policy changed. It is written soon, or at once if a start would find nothing to evaluate.
   */
  switched(): void {
    this.#lastGoodChanged = true;
    if (this.#lastGoodWritten) void this.#writeSoon();
    else void this.write();
  }

  /** Notes that the called services changed. A new service is written at once. */
  calledChanged(isNew: boolean): void {
    this.#calledChanged = true;
    if (isNew) void this.write();
  }

  /** Writes what changed. Resolves when the write was tried. Never rejects. */
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

  /**
   * Schedules one write for several switches. The delay is random, so that proxies on one disk do not write together.
   */
  async #writeSoon(): Promise<void> {
    if (this.#soon) return;
    this.#soon = true;
    const { clock, random, signal } = this.#deps;
    await clock.sleep(afterSwitchMs * (0.5 + random()), signal);
    this.#soon = false;
    if (!signal.aborted) await this.write();
  }

  async #writeAll(): Promise<void> {
    do {
      this.#again = false;
      try {
        if (this.#partsChanged || this.#lastGoodChanged) await this.#writeRevisions();
        if (this.#calledChanged) {
          this.#calledChanged = false;
          await this.#deps.cache.saveCalled(this.#deps.called());
        }
        this.#trouble = undefined;
      } catch (error) {
        this.#trouble = messageOf(error);
        this.#partsChanged = true;
        this.#calledChanged = true;
      }
    } while (this.#again && this.#trouble === undefined);
  }

  /** Writes parts before the files that name them, so that a crash in between leaves the old state complete. */
  async #writeRevisions(): Promise<void> {
    const { cache } = this.#deps;
    const partsChanged = this.#partsChanged;
    this.#partsChanged = this.#lastGoodChanged = false;
    if (partsChanged) await this.#writeParts();
    const lastGood = this.#deps.lastGood();
    if (lastGood === undefined) return;
    await cache.saveLastGood(lastGood);
    this.#lastGoodWritten = true;
    if (partsChanged) await cache.removeUnused(this.#deps.held());
  }

  async #writeParts(): Promise<void> {
    const used = new Map<Digest, Uint8Array>();
    for (const { revision, list, units } of this.#deps.held()) {
      used.set(revision.digest, revision.bytes);
      used.set(list.digest, list.bytes);
      for (const { digest } of units.values()) {
        const bytes = this.#blobs.get(digest);
        if (bytes !== undefined) used.set(digest, bytes);
      }
    }
    for (const digest of this.#blobs.keys()) if (!used.has(digest)) this.#blobs.delete(digest);
    await this.#deps.cache.saveBlobs(used);
    for (const digest of used.keys()) this.#blobs.delete(digest);
  }
}

/** Returns what the next start begins with: the evaluated revision and the held ones, the last active first. */
export function lastGoodOf(state: SyncState, lagMs: number, isHeld: (digest: Digest) => boolean): LastGood | undefined {
  const { evaluating, history, prepared } = state;
  if (evaluating === undefined) return undefined;
  const active = history.filter((one) => isHeld(one.digest));
  const others = prepared.filter((one) => !active.some((other) => other.digest === one.digest));
  return { activation: evaluating, lagMs, revisions: [...active, ...others] };
}
