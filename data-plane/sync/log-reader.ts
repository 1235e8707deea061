/** Reads of the logs that are shared, bounded and never fail: heads, ranges, and trust when a key is not known. */
import { messageOf } from "../../core/errors.js";
import type { LogName } from "../../core/wire/subjects.js";
import type { Clock } from "../../runtime/clock.js";
import type { KeyRange } from "./chain-state.js";
import type { RecordJudge } from "./record-judge.js";
import type { RecordOrigin, RevisionSource } from "./revision-source.js";
import type { ChainName } from "./sync-model.js";

export interface LogReaderDeps {
  readonly source: RevisionSource;
  readonly judge: RecordJudge;
  readonly clock: Clock;
  /** Returns the lowest key of this log's valid records that wait for earlier ones. undefined: none waits. */
  waitingAt(log: ChainName): number | undefined;
  /** Verifies a record and takes it. Returns whether it is valid. */
  receive(origin: RecordOrigin, bytes: Uint8Array): boolean;
  readonly signal: AbortSignal;
}

const trustReadsEveryMs = 1000;
const walkBackMax = 4096;

export class LogReader {
  readonly #deps: LogReaderDeps;
  readonly #reading = new Map<LogName, Promise<void>>();
  #trustReadMs = Number.NEGATIVE_INFINITY;
  #trustPending = false;

  constructor(deps: LogReaderDeps) {
    this.#deps = deps;
  }

  /** Reads the head of one log; one read is shared by all who ask meanwhile. Never rejects. */
  readHead(name: LogName): Promise<void> {
    const running = this.#reading.get(name);
    if (running !== undefined) return running;
    const reading = this.#readHead(name).finally(() => this.#reading.delete(name));
    this.#reading.set(name, reading);
    return reading;
  }

  /** Reads all heads, trust first. Never rejects. */
  async readHeads(): Promise<void> {
    await this.readHead("trust");
    await Promise.all([this.readHead("activations"), this.readHead("revisions")]);
  }

  /** Reads the trust log because a record has an unknown key, at most once a second. */
  unknownKey(): void {
    if (this.#trustPending) return;
    this.#trustPending = true;
    const { clock, signal } = this.#deps;
    const waitMs = this.#trustReadMs + trustReadsEveryMs - clock.monotonicMs();
    const wait = waitMs > 0 ? clock.sleep(waitMs, signal) : Promise.resolve();
    void wait.then(() => {
      this.#trustPending = false;
      this.#trustReadMs = clock.monotonicMs();
      if (!signal.aborted) void this.readHead("trust");
    });
  }

  /** Reads the records of a range in order and stops at a key without a valid one. False: the log cannot be reached. */
  async readRange(name: ChainName, { from, to }: KeyRange): Promise<boolean> {
    const { receive, signal } = this.#deps;
    const take = (bytes: Uint8Array): boolean => receive(name, bytes);
    try {
      for (let key = Math.max(from, 1); key <= to && !signal.aborted; key += 1) {
        if (await this.#readAt(name, key, take)) continue;
        if (!(await this.#walkBack(name, key)) || !(await this.#readAt(name, key, take))) break;
      }
      return true;
    } catch (error) {
      this.#say(name, error);
      return false;
    }
  }

  /**
   * Reads backwards from the record that waits to `to`. A link whose signing key was dropped while nobody listened is
   * still authentic, because the record after it names it. Returns whether the record at `to` is valid.
   */
  async #walkBack(name: ChainName, to: number): Promise<boolean> {
    const from = this.#deps.waitingAt(name) ?? 0;
    if (name === "trust" || from <= to || from - to > walkBackMax) return false; // the root key is never dropped
    const holds = (bytes: Uint8Array): boolean => typeof this.#deps.judge.judge(name, bytes) === "object";
    for (let key = from - 1; key >= to && !this.#deps.signal.aborted; key -= 1) {
      if (!(await this.#readAt(name, key, holds))) return false;
    }
    return true;
  }

  /** Returns whether any record with this key is valid. */
  async #readAt(name: ChainName, key: number, take: (bytes: Uint8Array) => boolean): Promise<boolean> {
    const records = await this.#deps.source.readAt(name, key);
    return records.filter(take).length > 0;
  }

  async #readHead(name: LogName): Promise<void> {
    const { source, judge, receive } = this.#deps;
    try {
      const accept = (bytes: Uint8Array): boolean => {
        const event = judge.judge(name, bytes);
        if (event === "unknown-key" && name !== "trust") this.unknownKey();
        return typeof event === "object";
      };
      const bytes = await source.readHead(name, accept);
      if (bytes !== undefined) receive(name, bytes);
    } catch (error) {
      this.#say(name, error);
    }
  }

  #say(name: LogName, error: unknown): void {
    const { source, judge } = this.#deps;
    if (source.connected) judge.say("warn", `the ${name} log cannot be read: ${messageOf(error)}`);
  }
}
