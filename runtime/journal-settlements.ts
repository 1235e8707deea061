/**
 * Finds, for a reader that goes through the log in order, which write a record settles, and whether it is the first
 * record to do so.
 */
import { AshlarError } from "../core/errors.js";
import { journalPrefix, journalSubject } from "../core/wire/subjects.js";
import { Backoff } from "./backoff.js";
import type { StoredMessage, StoredQuery } from "./bus.js";
import type { Clock } from "./clock.js";
import {
  type EntryRecord,
  entryOf,
  type JournalRecordDeps,
  readJournalRecord,
  type SettlingRecord,
  settles,
} from "./journal-records.js";

export interface SettlementDeps extends JournalRecordDeps {
  readonly get: (query: StoredQuery) => Promise<StoredMessage | undefined>;
  readonly clock: Clock;
  readonly random: () => number;
}

/** The most unsettled entries that are remembered; older ones are looked up in the log. */
const openMax = 10_000;
/** The most bytes of their requests that are kept. */
const keptBytesMax = 4 * 1024 * 1024;
/** The most records of other entries that are passed over in the search for an earlier settlement. */
const stepsMax = 2000;
/** The milliseconds to wait for a lagging replica: one that has a record will soon have everything before it. */
const lagMsMax = 5000;
const poll = { msMin: 2, msMax: 200 };

/** About how many bytes a reference to the messages of a stream takes. */
const messagesAtBytes = 128;

const keptBytesOf = (record: EntryRecord | undefined): number =>
  record === undefined
    ? 0
    : record.entry.request.length + messagesAtBytes * (record.entry.streamed?.messages.length ?? 0);

export class Settlements {
  readonly #deps: SettlementDeps;
  readonly #service: string;
  readonly #signal: AbortSignal;
  /** Entries that this reader has passed and that nothing has settled yet; undefined: the entry itself is not kept. */
  readonly #open = new Map<number, EntryRecord | undefined>();
  #keptBytes = 0;

  constructor(deps: SettlementDeps, service: string, signal: AbortSignal) {
    this.#deps = deps;
    this.#service = service;
    this.#signal = signal;
  }

  /** Notes an entry that was read. */
  add(entry: EntryRecord): void {
    const [oldest] = this.#open.size >= openMax ? this.#open.keys() : [];
    if (oldest !== undefined) this.#forget(oldest);
    const bytes = keptBytesOf(entry);
    const isKept = this.#keptBytes + bytes <= keptBytesMax;
    if (isKept) this.#keptBytes += bytes;
    this.#open.set(entry.sequence, isKept ? entry : undefined);
  }

  #forget(sequence: number): void {
    this.#keptBytes -= keptBytesOf(this.#open.get(sequence));
    this.#open.delete(sequence);
  }

  /**
   * Returns the entry that `record` settles, or undefined if it settles none. The first outcome or resolution of an
   * entry in the log counts, and only valid entries ever get one. Fails with `unavailable`.
   */
  async settledBy(record: SettlingRecord): Promise<EntryRecord | undefined> {
    const sequence = entryOf(record);
    const isOpen = this.#open.has(sequence);
    const found = this.#open.get(sequence) ?? (await this.#entryAt(sequence));
    if (found === undefined || !settles(record, found)) return undefined;
    if (isOpen) {
      this.#forget(sequence);
      return found;
    }
    return (await this.#isSettledBefore(found, record)) ? undefined : found;
  }

  async #entryAt(sequence: number): Promise<EntryRecord | undefined> {
    const message = await this.#certain({ sequence });
    if (message === undefined) return undefined;
    const record = readJournalRecord(this.#deps, this.#service, message);
    return record?.kind === "entry" ? record : undefined;
  }

  /** Returns a message that was stored before one that was read, or undefined if it is no longer kept. */
  async #certain(query: { readonly sequence: number }): Promise<StoredMessage | undefined> {
    const { get, clock, random } = this.#deps;
    const backoff = new Backoff(poll, random);
    const untilMs = clock.monotonicMs() + lagMsMax;
    for (;;) {
      const message = await get(query);
      if (message !== undefined) return message;
      const next = await get({ nextOf: `${journalPrefix(this.#service)}.>`, from: query.sequence });
      if (next !== undefined) return next.sequence === query.sequence ? next : undefined;
      if (clock.monotonicMs() >= untilMs || this.#signal.aborted)
        throw new AshlarError("unavailable", `entry ${query.sequence} of the journal is not there yet on this replica`);
      await clock.sleep(backoff.nextMs(), this.#signal);
    }
  }

  async #isSettledBefore(entry: EntryRecord, record: SettlingRecord): Promise<boolean> {
    for (const kind of ["outcome", "resolution"] as const) {
      const nextOf = journalSubject(this.#service, kind, entry.key);
      for (let [steps, from] = [0, entry.sequence + 1]; steps < stepsMax; steps += 1) {
        const message = await this.#deps.get({ nextOf, from });
        if (message === undefined || message.sequence >= record.sequence) break;
        const other = readJournalRecord(this.#deps, this.#service, message);
        const isSettling = other?.kind === "outcome" || other?.kind === "resolution";
        if (isSettling && entryOf(other) === entry.sequence && settles(other, entry)) return true;
        from = message.sequence + 1;
      }
    }
    return false;
  }
}
