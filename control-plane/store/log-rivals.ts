/**
 * Records that are signed like those of a log and have the number of another record. One of the two was acknowledged
 * and lost, when a folder was restored from a backup and signed that number again (decision 0031).
 */
import type { Digest } from "../../core/digest.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import type { Signed } from "../../core/model.js";
import type { LogIndex } from "./log-index.js";
import type { RivalFile } from "./rival-file.js";

/** Two valid records with the same number. */
export interface LogConflict<Body> {
  readonly key: number;
  /** The one in this log. */
  readonly held: Signed<Body>;
  readonly rival: Signed<Body>;
}

/**
 * The most rivals of one log that are kept. Further ones are reported when these are settled and proxies show them
 * again.
 */
const rivalsMax = 64;

interface Noted {
  readonly bytes: Uint8Array;
  /** The rival's number; undefined: it was recorded before this process began. */
  readonly key: number | undefined;
  /** The head of the log when a rival of this number was first recorded. */
  readonly headKey: number;
  /** True if an operator has chosen, or the log had passed it before this version looked. */
  settled: boolean;
}

export class LogRivals<Body> {
  readonly #index: LogIndex<Body>;
  readonly #keyOf: (body: Body) => number;
  readonly #file: RivalFile | undefined;
  readonly #noted = new Map<Digest, Noted>();
  #settling = false;
  #trouble: string | undefined;

  /** Without `file`, nothing outlives the process. */
  constructor(index: LogIndex<Body>, keyOf: (body: Body) => number, file?: RivalFile) {
    this.#index = index;
    this.#keyOf = keyOf;
    this.#file = file;
    for (const { digest, bytes, settled } of file?.known ?? [])
      this.#noted.set(digest, { bytes, settled, key: undefined, headKey: Number.POSITIVE_INFINITY });
  }

  /** Returns what was recorded before this process began, for the index to judge once it has the log. */
  get records(): readonly Uint8Array[] {
    return [...this.#noted.values()].map(({ bytes }) => bytes);
  }

  /** Why the rivals are not on disk; undefined: they are. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /**
   * Records the index's rivals. Every control plane sees a rival that is in the stream, so the next higher record in
   * the log is the choice that one of them made and all follow. A rival that the log is already past also blocks it,
   * except `atStart`: earlier versions reported it and went past it. Never rejects.
   */
  async note(isInStream: (digest: Digest) => boolean = () => false, atStart = false): Promise<void> {
    const head = this.#index.head();
    const headKey = head === undefined ? 0 : this.#keyOf(head.body);
    let changed = this.#trouble !== undefined;
    for (const { digest, bytes, body } of this.#index.rivals()) {
      const key = this.#keyOf(body);
      const noted = this.#noted.get(digest);
      const isPast = key < headKey && isInStream(digest);
      if (noted === undefined) {
        // The record that the next one did not choose was history until now, so its conflict is as old as the one with
        // the other record.
        const sinceKey = Math.min(headKey, ...this.#headKeysOf(key));
        if (this.#noted.size >= rivalsMax) this.#dropSettled();
        if (this.#noted.size < rivalsMax)
          this.#noted.set(digest, { bytes, key, headKey: sinceKey, settled: isPast && (atStart || sinceKey <= key) });
        changed = true;
      } else if (!noted.settled && isPast && noted.headKey <= key) changed = noted.settled = true;
    }
    if (changed) await this.#save();
  }

  #headKeysOf(key: number): readonly number[] {
    return [...this.#noted.values()].filter((noted) => noted.key === key).map(({ headKey }) => headKey);
  }

  #dropSettled(): void {
    for (const [digest, { settled }] of this.#noted) {
      if (!settled) continue;
      this.#noted.delete(digest);
      return;
    }
  }

  /** Returns the undecided conflicts, lowest number first. */
  conflicts(): readonly LogConflict<Body>[] {
    const conflicts: LogConflict<Body>[] = [];
    for (const [digest, { settled }] of this.#noted) {
      const rival = settled ? undefined : this.#index.findSigned(digest);
      const key = rival && this.#keyOf(rival.body);
      const held = key === undefined ? undefined : this.#index.find(key);
      if (rival === undefined || key === undefined || held === undefined || held.digest === digest) continue;
      conflicts.push({ key, held, rival });
    }
    return conflicts.sort((a, b) => a.key - b.key);
  }

  /** Returns the lowest conflict that keeps the log from continuing. */
  blocking(): LogConflict<Body> | undefined {
    return this.#settling ? undefined : this.conflicts()[0];
  }

  /** Runs `act`, which may sign, and then holds the conflicts that there were for settled. */
  async settle<Result>(act: () => Promise<Result>): Promise<Result> {
    if (this.#settling) throw new AshlarError("conflict", "another choice is being signed: look again");
    const open = this.conflicts();
    this.#settling = true;
    try {
      const result = await act();
      for (const { rival } of open) {
        const noted = this.#noted.get(rival.digest);
        if (noted !== undefined) noted.settled = true;
      }
      await this.#save();
      return result;
    } finally {
      this.#settling = false;
    }
  }

  /** Stores the rivals. Never rejects; what could not be written is written at the next look at the log. */
  async #save(): Promise<void> {
    try {
      await this.#file?.save([...this.#noted].map(([digest, { bytes, settled }]) => ({ digest, bytes, settled })));
      this.#trouble = undefined;
    } catch (error) {
      this.#trouble = messageOf(error);
    }
  }
}
