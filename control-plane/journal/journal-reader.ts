/** Reads journals as they stand in their streams, whenever somebody asks: nothing of them is kept here. */
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { JournalLog, type JudgedEntry } from "../../core/journal/journal-log.js";
import type { KeySet } from "../../core/signature.js";
import { type JournalEntry, parseEntry } from "../../core/wire/journal/entry.js";
import { type JournalOutcome, parseOutcome } from "../../core/wire/journal/outcome.js";
import { type JournalResolution, verifyResolution } from "../../core/wire/journal/resolution.js";
import { keySetOf } from "../../core/wire/records.js";
import { journalStream, parseJournalSubject } from "../../core/wire/subjects.js";
import type { Bus, StoredMessage } from "../../runtime/bus.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import type { Ledger } from "../store/ledger.js";
import { findJournals } from "./find-journals.js";

export interface JournalReaderDeps {
  readonly bus: Pick<Bus, "streamNames" | "streamInfo" | "leaderGet">;
  readonly reader: Pick<StatementReader, "readJournal">;
  readonly mesh: string;
  /** Every key that ever was one of the mesh's verifies what control planes said. */
  readonly trust: Pick<Ledger["trust"], "list">;
}

/** An entry with what came of it. */
export interface ReadEntry {
  readonly entry: JournalEntry;
  /** The digest of its bytes as they are stored. */
  readonly digest: Digest;
  readonly judged: JudgedEntry;
  readonly storedMs: number;
  readonly outcome: JournalOutcome | undefined;
  readonly resolution: JournalResolution | undefined;
}

export interface ReadJournal {
  readonly service: string;
  /** In the order of the log. */
  readonly entries: readonly ReadEntry[];
  /** Messages that are no record or that their writer did not sign: they count for nothing. */
  readonly refused: number;
}

export interface JournalReader {
  /** The services that have a journal, whatever the policy says today. Fails with `unavailable`. */
  services(): Promise<readonly string[]>;
  /** The whole journal up to what is there now. Fails with `not_found`, `unavailable`, and `limit` if it is too long. */
  read(service: string, signal?: AbortSignal): Promise<ReadJournal>;
}

/** Messages that are asked for at once. */
const atOnceMax = 16;
/** A longer journal is not read whole: validity needs it from its first entry on. */
const messagesMax = 1_000_000;

export function createJournalReader(deps: JournalReaderDeps): JournalReader {
  const { bus } = deps;
  return {
    services: async () => (await findJournals(bus)).map(({ service }) => service),
    async read(service, signal) {
      const stream = journalStream(service);
      const info = await bus.streamInfo(stream);
      if (info === undefined) throw new AshlarError("not_found", `service ${service} has no journal`);
      if (info.messages > messagesMax)
        throw new AshlarError(
          "limit",
          `the journal of ${service} has ${info.messages} messages, at most ${messagesMax} are read`,
        );
      const keys = new Map(deps.trust.list().flatMap(({ body }) => [...keySetOf(body)]));
      const walk = new Walk(deps, service, info.firstSequence, keys);
      for (let from = info.firstSequence; from <= info.lastSequence; from += atOnceMax) {
        if (signal?.aborted) throw new AshlarError("unavailable", "the call was cancelled");
        const count = Math.min(atOnceMax, info.lastSequence - from + 1);
        const asked = Array.from({ length: count }, (_, at) => bus.leaderGet(stream, { sequence: from + at }));
        for (const message of await Promise.all(asked)) if (message !== undefined) walk.take(message);
      }
      return walk.end();
    },
  };
}

type Parts = Pick<ReadEntry, "entry" | "digest" | "storedMs" | "outcome" | "resolution">;

/** One reading of a journal, message by message in its order. */
class Walk {
  readonly #deps: JournalReaderDeps;
  readonly #service: string;
  readonly #keys: KeySet;
  readonly #log: JournalLog;
  readonly #found = new Map<number, Parts>();
  #refused = 0;

  constructor(deps: JournalReaderDeps, service: string, firstKept: number, keys: KeySet) {
    this.#deps = deps;
    this.#service = service;
    this.#keys = keys;
    this.#log = new JournalLog(firstKept);
  }

  take(message: StoredMessage): void {
    try {
      this.#take(message);
    } catch {
      this.#refused += 1;
    }
  }

  #take(message: StoredMessage): void {
    const { sequence, storedMs, data } = message;
    const place = parseJournalSubject(message.subject);
    if (place?.service !== this.#service) throw new AshlarError("invalid_record", "another service's");
    if (place.kind === "seal") return;
    if (place.kind === "resolution") {
      const { body } = verifyResolution(data, this.#deps.mesh, this.#keys);
      const settled = body.service === this.#service ? this.#settle(sequence, body.entry) : undefined;
      if (settled !== undefined) this.#found.set(body.entry, { ...settled, resolution: body });
      return;
    }
    const { writer } = this.#deps.reader.readJournal(this.#service, message, storedMs);
    if (place.kind === "outcome") {
      const outcome = parseOutcome(data, writer);
      const settled = this.#settle(sequence, outcome.entry);
      if (settled !== undefined) this.#found.set(outcome.entry, { ...settled, outcome });
      return;
    }
    const entry = parseEntry(data, writer, place.key);
    const hasOutcome = entry.outcome !== undefined;
    this.#log.addEntry({
      sequence,
      key: place.key,
      isOrdered: entry.order !== "",
      expected: entry.expected,
      hasOutcome,
    });
    this.#found.set(sequence, {
      entry,
      digest: digestOf(data),
      storedMs,
      outcome: entry.outcome,
      resolution: undefined,
    });
  }

  #settle(sequence: number, entry: number): Parts | undefined {
    return this.#log.addOutcome({ sequence, entry }) === undefined ? undefined : this.#found.get(entry);
  }

  end(): ReadJournal {
    const entries: ReadEntry[] = [];
    for (const judged of this.#log.entries) {
      const parts = this.#found.get(judged.sequence);
      if (parts !== undefined) entries.push({ ...parts, judged });
    }
    return { service: this.#service, entries, refused: this.#refused };
  }
}
