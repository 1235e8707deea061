/** A control plane's own copy of a log, and why it lacks something. */
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import type { Logger } from "../../runtime/log.js";
import type { FileLog } from "./file-copy.js";

interface Copied {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

export class OwnCopy {
  readonly #name: string;
  readonly #file: FileLog;
  readonly #log: Logger;
  readonly #copied: Set<Digest>;
  #trouble: AshlarError | undefined;

  constructor(name: string, file: FileLog, log: Logger) {
    this.#name = name;
    this.#file = file;
    this.#log = log;
    this.#copied = new Set(file.records.map(digestOf));
  }

  /** The records that were in it when it was opened. */
  get records(): readonly Uint8Array[] {
    return this.#file.records;
  }

  /** Why it lacks records that the stream has; undefined: it has them all. While it lacks some, nothing is appended. */
  get trouble(): AshlarError | undefined {
    return this.#trouble;
  }

  /** Returns the problems of the copy, for people. */
  problems(): readonly string[] {
    return [this.#trouble?.message, this.#file.damage].filter((line) => line !== undefined);
  }

  /** Copies the records that it lacks. Never rejects. */
  async addAll(records: readonly Copied[]): Promise<void> {
    this.#trouble = undefined;
    for (const record of records) await this.add(record);
  }

  /**
   * Copies a record unless it has it, or lacks one before it. Never rejects, because the record itself is committed.
   */
  async add({ digest, bytes }: Copied): Promise<void> {
    if (this.#copied.has(digest) || this.#trouble !== undefined) return;
    try {
      await this.#file.append(bytes);
      this.#copied.add(digest);
    } catch (cause) {
      const why = `${this.#name}: this control plane's own copy lacks records, and nothing is appended: ${messageOf(cause)}`;
      this.#trouble = new AshlarError("unavailable", why, { cause });
      this.#log.error("a record could not be copied to disk", { why });
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
