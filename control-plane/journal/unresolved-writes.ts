/**
 * Finds the writes in journals that have had no outcome for a minute, so that `status` can name them. Each message is
 * read once, at a bounded rate, and the progress is stored in a file. An outcome of a recent write is accepted without
 * verifying its signature or decoding more than what it is about, which would cost more than all the rest. So the
 * holder of a proxy's credential can hide a write from `status`, but not from `ashlar journal list --unresolved`. What
 * claims to be a write is verified before it is named.
 */
import { isMessagesKey } from "../../core/journal/journal-key.js";
import { glanceAtEntry, glanceAtOutcome } from "../../core/wire/journal/glance.js";
import { journalStream, journalSubject, parseJournalSubject } from "../../core/wire/subjects.js";
import type { Bus, StoredMessage } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import {
  type EntryRecord,
  entryOf,
  type JournalRecord,
  type JournalRecordDeps,
  readJournalRecord,
} from "../../runtime/journal-records.js";
import type { FoundJournal } from "./find-journals.js";
import { readJournal } from "./journal-sealer.js";
import type { SealLinks } from "./seal-links.js";

export interface UnresolvedDeps extends JournalRecordDeps {
  readonly bus: Pick<Bus, "leaderGet" | "directGet">;
  readonly clock: Pick<Clock, "nowMs">;
  readonly places: UnresolvedPlaces;
  readonly limits?: UnresolvedLimits;
  /** Is told of each message that is read; left out: nobody is. */
  readonly links?: Pick<SealLinks, "note">;
}

export interface UnresolvedLimits {
  /** The most messages of a journal that one look reads. */
  readonly readMax: number;
  /** Writes without an outcome that are held in memory: while there are more young ones, no more is read. */
  readonly openMax: number;
  /** The most writes of a journal without an outcome for a minute that are listed. */
  readonly unresolvedMax: number;
}

/** How far a reader got in a journal. */
export interface UnresolvedPlace {
  readonly through: number;
  /** The sequences of writes up to there that have no outcome, and when they were stored. */
  readonly unresolved: readonly (readonly [number, number])[];
}

/** Keeps the progress over a restart. What is lost is read again. */
export interface UnresolvedPlaces {
  load(service: string): UnresolvedPlace | undefined;
  keep(service: string, place: UnresolvedPlace): Promise<void>;
}

/** The milliseconds that an outcome may take, counted from the caller's deadline if it has one. */
const youngMs = 60_000;
const lateMs = 5000;
const limitsDefault: UnresolvedLimits = { readMax: 20_000, openMax: 100_000, unresolvedMax: 10_000 };
/** The most writes that are judged in one look at a journal. */
const judgedMax = 500;
const ancestorsMax = 32;
const stepsMax = 200;

interface Reading {
  through: number;
  /** When the last message that was read was stored. */
  throughMs: number;
  /** Recent writes without an outcome, with the time from which on they are listed. */
  readonly open: Map<number, { readonly storedMs: number; readonly dueMs: number }>;
  readonly unresolved: Map<number, number>;
  keptThrough: number;
}

export class UnresolvedWrites {
  readonly #deps: UnresolvedDeps;
  readonly #limits: UnresolvedLimits;
  readonly #readings = new Map<string, Reading>();

  constructor(deps: UnresolvedDeps) {
    this.#deps = deps;
    this.#limits = deps.limits ?? limitsDefault;
  }

  /**
   * Returns the valid writes without an outcome as of the last look: their number, and the sequence and time of the
   * oldest.
   */
  of(service: string): { readonly count: number; readonly oldest: number; readonly storedMs: number } {
    const { unresolved } = this.#readings.get(service) ?? this.#begin(service);
    const [oldest = 0, storedMs = 0] = unresolved.entries().next().value ?? [];
    return { count: unresolved.size, oldest, storedMs };
  }

  /** Reads new messages. Fails with `unavailable`. */
  async look({ service, info }: FoundJournal, signal: AbortSignal): Promise<void> {
    const { readMax, openMax } = this.#limits;
    let reading = this.#readings.get(service) ?? this.#begin(service);
    if (info.lastSequence < reading.through) reading = this.#begin(service, true); // the stream is another one
    for (const each of [reading.open, reading.unresolved])
      for (const sequence of each.keys()) if (sequence < info.firstSequence) each.delete(sequence);
    const from = Math.max(reading.through + 1, info.firstSequence);
    const through = Math.min(info.lastSequence, from + readMax - 1);
    if (reading.open.size < openMax && from <= through) {
      for await (const message of readJournal(this.#deps.bus, service, from, through, signal)) {
        this.#deps.links?.note(service, info, message);
        this.#take(service, reading, message);
        reading.throughMs = message.storedMs;
      }
      if (signal.aborted) return;
      reading.through = through;
    }
    // the outcome of a write that is due may be among the messages that are not read yet
    const isBehind = reading.through < info.lastSequence && reading.open.size < openMax;
    await this.#judgeDue(service, reading, isBehind ? reading.throughMs : this.#deps.clock.nowMs());
    const [oldestOpen = reading.through + 1] = reading.open.keys();
    if (oldestOpen - 1 === reading.keptThrough) return;
    reading.keptThrough = oldestOpen - 1;
    await this.#deps.places.keep(service, { through: oldestOpen - 1, unresolved: [...reading.unresolved] });
  }

  #begin(service: string, isNew = false): Reading {
    const place = isNew ? undefined : this.#deps.places.load(service);
    const through = place?.through ?? 0;
    const unresolved = new Map(place?.unresolved ?? []);
    const reading = { through, throughMs: 0, open: new Map(), unresolved, keptThrough: through };
    this.#readings.set(service, reading);
    return reading;
  }

  #take(service: string, { open, unresolved }: Reading, message: StoredMessage): void {
    const place = parseJournalSubject(message.subject);
    if (place?.service !== service) return;
    const { sequence, data, storedMs } = message;
    if (place.kind === "entry") {
      const entry = isMessagesKey(place.key) ? undefined : glanceAtEntry(data);
      if (entry === undefined || entry.hasOutcome) return;
      open.set(sequence, { storedMs, dueMs: Math.max(storedMs + youngMs, entry.deadlineMs + lateMs) });
      return;
    }
    if (place.kind === "outcome") {
      const entry = glanceAtOutcome(data);
      if (entry === undefined || open.delete(entry) || !unresolved.has(entry)) return;
    }
    const record = readJournalRecord(this.#deps, service, message);
    if (record === undefined || record.kind === "entry" || record.kind === "messages") return;
    open.delete(entryOf(record));
    unresolved.delete(entryOf(record));
  }

  async #judgeDue(service: string, { open, unresolved }: Reading, nowMs: number): Promise<void> {
    const { openMax, unresolvedMax } = this.#limits;
    let judged = 0;
    for (const [sequence, { storedMs, dueMs }] of open) {
      if (nowMs < dueMs) continue;
      if (unresolved.size >= unresolvedMax) {
        if (open.size < openMax) return;
        // it is not listed: first the outcomes of the listed ones must be read
      } else if (++judged > judgedMax) return;
      else if (await this.#isValid(service, sequence)) unresolved.set(sequence, storedMs);
      open.delete(sequence);
    }
  }

  /** Returns whether it is a signed entry and, as far as a bounded look backwards shows, not void (decision 0042). */
  async #isValid(service: string, sequence: number): Promise<boolean> {
    let entry: EntryRecord | undefined = await this.#entry(service, sequence);
    if (entry === undefined) return false;
    for (let depth = 0; depth < ancestorsMax && entry.entry.order !== ""; depth += 1) {
      const named: number = entry.entry.expected;
      if (named >= entry.sequence) return false;
      const first = await this.#next(
        service,
        "entry",
        entry,
        named,
        ({ entry: of }: EntryRecord) => of.expected === named,
      );
      if (first !== undefined && first.sequence !== entry.sequence) return false;
      const before: EntryRecord | undefined = named === 0 ? undefined : await this.#entry(service, named);
      if (before === undefined) return true; // it is the first entry, or the entry that it names was removed
      if (before.key !== entry.key) return false;
      const settled = await this.#next(service, "outcome", before, named, (record) => entryOf(record) === named);
      if (settled !== undefined) return true;
      entry = before;
    }
    return true;
  }

  async #entry(service: string, sequence: number): Promise<EntryRecord | undefined> {
    const message = await this.#deps.bus.leaderGet(journalStream(service), { sequence });
    const record = message && readJournalRecord(this.#deps, service, message);
    return record?.kind === "entry" ? record : undefined;
  }

  /** Returns the first record of this kind and key after a sequence that passes `holds`, within a bound. */
  async #next<Kind extends "entry" | "outcome">(
    service: string,
    kind: Kind,
    { key }: EntryRecord,
    after: number,
    holds: (record: Extract<JournalRecord, { kind: Kind }>) => boolean,
  ): Promise<JournalRecord | undefined> {
    const nextOf = journalSubject(service, kind, key);
    for (let [steps, from] = [0, after + 1]; steps < stepsMax; steps += 1) {
      const message = await this.#deps.bus.leaderGet(journalStream(service), { nextOf, from });
      if (message === undefined) return undefined;
      const record = readJournalRecord(this.#deps, service, message);
      if (record?.kind === kind && holds(record as Extract<JournalRecord, { kind: Kind }>)) return record;
      from = message.sequence + 1;
    }
    return undefined;
  }
}
