/** A log's index as readers see it, with the listeners that are told of new records. */
import type { Digest } from "../../core/digest.js";
import type { Signed } from "../../core/model.js";
import type { MissingRange } from "./log-history.js";
import type { LogIndex } from "./log-index.js";
import { isOfOtherLog, type LogLaw } from "./log-laws.js";
import { type LogConflict, LogRivals } from "./log-rivals.js";
import type { RivalFile } from "./rival-file.js";

export class IndexedLog<Body> {
  protected readonly law: LogLaw<Body>;
  protected readonly index: LogIndex<Body>;
  protected readonly rivals: LogRivals<Body>;
  readonly #listeners = new Set<(record: Signed<Body>) => void>();
  readonly #failed: (error: unknown) => void;

  /** `failed` is called when a listener throws; other listeners still run. */
  constructor(law: LogLaw<Body>, index: LogIndex<Body>, failed: (error: unknown) => void, rivals?: RivalFile) {
    this.law = law;
    this.index = index;
    this.rivals = new LogRivals(index, law.keyOf, rivals);
    this.#failed = failed;
  }

  head(): Signed<Body> | undefined {
    return this.index.head();
  }

  find(key: number): Signed<Body> | undefined {
    return this.index.find(key);
  }

  list(): readonly Signed<Body>[] {
    return this.index.list();
  }

  has(digest: Digest): boolean {
    return this.index.has(digest);
  }

  ahead(): Signed<Body> | undefined {
    return this.index.ahead();
  }

  missing(): readonly MissingRange[] {
    return this.index.missing();
  }

  lack(): string | undefined {
    return undefined;
  }

  onRecord(listener: (record: Signed<Body>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  findSigned(digest: Digest): Signed<Body> | undefined {
    return this.index.findSigned(digest);
  }

  conflicts(): readonly LogConflict<Body>[] {
    return this.rivals.conflicts();
  }

  blocking(): LogConflict<Body> | undefined {
    return this.rivals.blocking();
  }

  settle<Result>(act: () => Promise<Result>): Promise<Result> {
    return this.rivals.settle(act);
  }

  /**
   * Judges the records that contested a number before the last start, once the log's own records are known. Returns the
   * records that became visible.
   */
  protected offerRivals(): readonly Signed<Body>[] {
    return this.rivals.records.flatMap((bytes) => this.#adopted(bytes));
  }

  /** Judges records that came back. Returns the records that became visible. */
  protected async takeBack(records: readonly Uint8Array[]): Promise<Signed<Body>[]> {
    const adopted = records.flatMap((bytes) => (isOfOtherLog(this.law, bytes) ? [] : this.#adopted(bytes)));
    await this.rivals.note();
    return adopted;
  }

  #adopted(bytes: Uint8Array): readonly Signed<Body>[] {
    const offered = this.index.offer(bytes);
    return offered.kind === "adopted" ? offered.records : [];
  }

  protected tell(records: readonly Signed<Body>[]): void {
    for (const record of records) {
      for (const listener of [...this.#listeners]) {
        try {
          listener(record);
        } catch (error) {
          this.#failed(error);
        }
      }
    }
  }
}
