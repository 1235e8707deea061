/** The history of a journal for a replay: its writes in the order in which their outcomes became known. */
import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { JournalLog, type LetGo } from "../../core/journal/journal-log.js";
import { keySetOf } from "../../core/wire/records.js";
import { journalPrefix, journalStream, parseJournalSubject } from "../../core/wire/subjects.js";
import type { Bus, StoredMessage, StoredQuery } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import { type EntryRecord, type JournalRecord, readJournalRecord } from "../../runtime/journal-records.js";
import { Settlements } from "../../runtime/journal-settlements.js";
import { tailJournal } from "../../runtime/journal-tail.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import type { Ledger } from "../store/ledger.js";
import { messageAt } from "./journal-sealer.js";
import { readLetGo } from "./read-let-go.js";
import { everyKey } from "./seal-journals.js";

export interface HistoryDeps {
  readonly bus: Pick<Bus, "streamInfo" | "leaderGet" | "directGet">;
  readonly reader: Pick<StatementReader, "readJournal">;
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "trust">;
  readonly clock: Clock;
}

export interface HistoryRange {
  readonly service: string;
  /** The range of entries by sequence; `to` 0: up to what is there now. */
  readonly from: number;
  readonly to: number;
  /** Continue with what is stored later, until told to stop. */
  readonly follows?: boolean;
}

/** What a journal contains now. */
export interface HistoryExtent {
  readonly first: number;
  readonly last: number;
  /** What was removed before `first`; undefined: nothing was. */
  readonly letGo: LetGo | undefined;
}

export type HistoryPart =
  /** The record `by` settled the entry; `position` is the position of that record. */
  | { readonly kind: "settled"; readonly position: number; readonly entry: EntryRecord; readonly by: JournalRecord }
  /** All messages up to `position` were read. */
  | { readonly kind: "read"; readonly position: number }
  /** There is nothing after `position` now. It is repeated at each look, while following. */
  | { readonly kind: "level"; readonly position: number };

export interface HistoryCounts {
  readonly entries: number;
  readonly void: number;
  readonly unresolved: readonly number[];
  readonly refused: number;
}

const messagesMax = 1_000_000;
/** The milliseconds between two looks at a followed journal to which nothing was stored. */
const lookEveryMs = 200;

/**
 * Returns the extent of a journal. Fails with `not_found` if there is no journal, and with `limit` if it is too long to
 * be judged as a whole.
 */
export async function extentOf({ bus, mesh, ledger }: HistoryDeps, service: string): Promise<HistoryExtent> {
  const info = await bus.streamInfo(journalStream(service));
  if (info === undefined) throw new AshlarError("not_found", `service ${service} has no journal`);
  const { messages, firstSequence, lastSequence: last } = info;
  const letGo = (await readLetGo(bus, service, mesh, everyKey(ledger.trust)))?.all;
  const first = Math.max(firstSequence, (letGo?.through ?? 0) + 1);
  if (messages <= messagesMax) return { first, last, letGo };
  throw tooLong(service, messages);
}

function tooLong(service: string, messages: number): AshlarError {
  const why = `the journal of ${service} has ${messages} messages, at most ${messagesMax} are replayed`;
  return new AshlarError("limit", `${why}: let the first go (\`ashlar journal retain\`)`);
}

/** One reading of a journal from its first entry on, because all earlier entries decide what is valid. */
export class JournalHistory {
  readonly #deps: HistoryDeps;
  readonly #range: HistoryRange;
  readonly #extent: HistoryExtent;
  readonly #log: JournalLog;
  /**
   * Entries of mode "after", which contain their outcome. No writer makes two with the same bytes, so a second one is
   * somebody's copy.
   */
  readonly #whole = new Set<Digest>();
  #refused = 0;

  constructor(deps: HistoryDeps, range: HistoryRange, extent: HistoryExtent) {
    this.#deps = deps;
    this.#range = range;
    this.#extent = extent;
    this.#log = new JournalLog(extent.letGo);
  }

  /** Yields the settled entries of the range, and after each batch how far it has read. Fails with `unavailable`. */
  async *read(signal: AbortSignal): AsyncGenerator<HistoryPart> {
    const { bus, clock, reader, mesh, ledger } = this.#deps;
    const { service, follows = false } = this.#range;
    const { first } = this.#extent;
    const last = follows ? Number.POSITIVE_INFINITY : this.#extent.last;
    if (last < first) return;
    const keys = () => {
      const head = ledger.trust.head();
      return head === undefined ? new Map() : keySetOf(head.body);
    };
    const stream = journalStream(service);
    const get = (query: StoredQuery) =>
      "sequence" in query ? messageAt(bus, stream, query.sequence) : bus.leaderGet(stream, query);
    const deps = { reader, mesh, keys, get, clock, random: Math.random };
    const settlements = new Settlements(deps, service, signal);
    const tail = { get, subjects: `${journalPrefix(service)}.>`, clock };
    let position = first - 1;
    for await (const batch of tailJournal(tail, first, signal)) {
      if (follows && batch.length === 0) {
        yield { kind: "level", position };
        await clock.sleep(lookEveryMs, signal);
        continue;
      }
      for (const message of batch) {
        if (message.sequence > last) return;
        const record = readJournalRecord(deps, service, message);
        if (record === undefined && isRecord(message)) this.#refused += 1;
        const settled = record && (await this.#settled(record, settlements));
        if (settled !== undefined && this.#isAsked(settled.sequence))
          yield { kind: "settled", position: message.sequence, entry: settled, by: record as JournalRecord };
      }
      position = batch.at(-1)?.sequence ?? last;
      if (position - first >= messagesMax) throw tooLong(service, position - first + 1);
      yield { kind: "read", position };
      if (position >= last) return;
    }
    throw new AshlarError("unavailable", "the call was cancelled");
  }

  /** Returns the counts, once everything was read. */
  get counts(): HistoryCounts {
    const asked = [...this.#log.entries].filter(({ sequence }) => this.#isAsked(sequence));
    const unresolved = asked.filter(({ isValid, settledBy }) => isValid && settledBy === 0);
    return {
      entries: asked.length,
      void: asked.filter(({ isValid }) => !isValid).length,
      unresolved: unresolved.map(({ sequence }) => sequence),
      refused: this.#refused,
    };
  }

  #isAsked(sequence: number): boolean {
    const { from, to } = this.#range;
    return sequence >= from && (to === 0 || sequence <= to);
  }

  async #settled(record: JournalRecord, settlements: Settlements): Promise<EntryRecord | undefined> {
    if (record.kind === "messages") {
      this.#log.addMessages(record);
      return undefined;
    }
    if (record.kind !== "entry") {
      const found = await settlements.settledBy(record);
      const { sequence } = record;
      return found && this.#log.addOutcome({ sequence, entry: found.sequence }) && found;
    }
    const { sequence, key, entry } = record;
    const hasOutcome = entry.outcome !== undefined;
    const isOrdered = entry.order !== "";
    if (hasOutcome && this.#whole.has(record.digest)) {
      this.#refused += 1;
      return undefined;
    }
    if (hasOutcome) this.#whole.add(record.digest);
    this.#log.addEntry({ sequence, key, isOrdered, expected: entry.expected, hasOutcome });
    if (hasOutcome) return record;
    settlements.add(record);
    return undefined;
  }
}

/** Returns whether a message is a record that a proxy wrote about a single entry, which seals and removals are not. */
function isRecord({ subject, origin }: StoredMessage): boolean {
  const kind = parseJournalSubject(origin?.subject ?? subject)?.kind;
  return kind !== "seal" && kind !== "letgo";
}
