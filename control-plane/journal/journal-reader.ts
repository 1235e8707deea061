/** Reads journals as they stand in their streams, whenever somebody asks: nothing of them is kept here. */
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { isMessagesKey } from "../../core/journal/journal-key.js";
import { JournalLog, type JudgedEntry, type LetGo } from "../../core/journal/journal-log.js";
import type { KeySet } from "../../core/signature.js";
import { type JournalEntry, parseEntry, requestBytesOf } from "../../core/wire/journal/entry.js";
import { parseMessages } from "../../core/wire/journal/messages.js";
import { type JournalOutcome, parseOutcome } from "../../core/wire/journal/outcome.js";
import { type JournalResolution, verifyResolution } from "../../core/wire/journal/resolution.js";
import { keySetOf } from "../../core/wire/records.js";
import { journalStream, parseJournalSubject } from "../../core/wire/subjects.js";
import type { Bus, StoredMessage, StoredQuery } from "../../runtime/bus.js";
import { systemClock } from "../../runtime/clock.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import { requestOf } from "../../runtime/streamed-request.js";
import type { Ledger } from "../store/ledger.js";
import { findJournals } from "./find-journals.js";
import { readLetGo } from "./read-let-go.js";
import { everyKey } from "./seal-journals.js";
import type { PrivateParts } from "./sealed-parts.js";

export interface JournalReaderDeps {
  readonly bus: Pick<Bus, "streamNames" | "streamInfo" | "leaderGet">;
  readonly reader: Pick<StatementReader, "readJournal">;
  readonly mesh: string;
  /**
   * The trust log. Every signing key that the mesh has ever had verifies what control planes said; only resolutions
   * under the keys of its last record settle a write.
   */
  readonly trust: Pick<Ledger["trust"], "list">;
}

/**
 * What is kept of an entry. Messages and metadata are left out, because a journal may have more bytes of them than
 * there is memory.
 */
type EntryHead = Pick<
  JournalEntry,
  | ("service" | "proxyId" | "caller" | "user" | "method" | "revision" | "epoch" | "decision")
  | ("key" | "order" | "expected" | "deadlineMs")
> & {
  /**
   * The sequence of the first record with messages of a streamed request, and the number of these records; 0: the
   * request is not streamed.
   */
  readonly firstMessages: number;
  readonly messagesRecords: number;
};

/** An entry with its outcome. */
export interface ReadEntry {
  readonly entry: EntryHead;
  readonly requestBytes: number;
  /** True if private fields were cut out of the request. */
  readonly isPrivate: boolean;
  /** The digest of the entry's stored bytes. */
  readonly digest: Digest;
  readonly judged: JudgedEntry;
  readonly storedMs: number;
  /** Since when the entry is in this stream; for an imported entry later than it was first stored. */
  readonly keptSinceMs: number;
  readonly outcome: Pick<JournalOutcome, "code"> | undefined;
  /** For an unsettled entry: a resolution under a signing key that was dropped, which no proxy accepts any more. */
  readonly resolution: JournalResolution | undefined;
  /** The messages of the entry that was requested in full; empty for all others. */
  readonly request: Uint8Array;
  readonly response: Uint8Array;
  /** The private parts of the entry that was requested in full; undefined for all others. */
  readonly parts: PrivateParts | undefined;
}

export interface ReadJournal {
  readonly service: string;
  /** The entries in the order of the log. */
  readonly entries: readonly ReadEntry[];
  /** The number of messages that are no record, or that their writer did not sign; they are ignored. */
  readonly refused: number;
  /** The last sequence that was removed (0: none), and the heads of order keys there. */
  readonly letGoThrough: number;
  readonly letGoHeads: ReadonlyMap<string, number>;
  /** The sequence of the last message. */
  readonly lastSequence: number;
  /** Streams that no valid entry has closed: the sequence of their first record, and when the last one was stored. */
  readonly unclosed: readonly { readonly first: number; readonly storedMs: number }[];
}

export interface JournalReader {
  /** Returns the services that have a journal, whatever policy says now. Fails with `unavailable`. */
  services(): Promise<readonly string[]>;
  /**
   * Reads every entry up to what is there now; `whole`: the sequence of the entry whose messages are kept. Fails with
   * `not_found`, `unavailable`, and with `limit` if the journal is too long.
   */
  read(service: string, signal?: AbortSignal, whole?: number): Promise<ReadJournal>;
}

/** The most messages that are requested at once. */
const atOnceMax = 16;
/** The most messages of a journal that is read as a whole: validity depends on all entries from the first on. */
const messagesMax = 1_000_000;

export function createJournalReader(deps: JournalReaderDeps): JournalReader {
  const { bus } = deps;
  return {
    services: async () => (await findJournals(bus)).map(({ service }) => service),
    async read(service, signal, whole = 0) {
      const stream = journalStream(service);
      const info = await bus.streamInfo(stream);
      if (info === undefined) throw new AshlarError("not_found", `service ${service} has no journal`);
      if (info.messages > messagesMax)
        throw new AshlarError(
          "limit",
          `the journal of ${service} has ${info.messages} messages, at most ${messagesMax} are read`,
        );
      const letGo = await readLetGo(bus, service, deps.mesh, everyKey(deps.trust));
      const walk = new Walk(deps, service, letGo?.all, whole);
      for (let from = info.firstSequence; from <= info.lastSequence; from += atOnceMax) {
        if (signal?.aborted) throw new AshlarError("unavailable", "the call was cancelled");
        const count = Math.min(atOnceMax, info.lastSequence - from + 1);
        const asked = Array.from({ length: count }, (_, at) => bus.leaderGet(stream, { sequence: from + at }));
        for (const message of await Promise.all(asked)) if (message !== undefined) walk.take(message);
      }
      const { whole: asked } = walk;
      if (asked?.streamed === undefined) return walk.end();
      const get = (query: StoredQuery) => bus.leaderGet(stream, query);
      const never = signal ?? new AbortController().signal;
      return walk.end(await requestOf({ get, clock: systemClock, random: Math.random }, asked, never));
    },
  };
}

type Parts = Omit<ReadEntry, "judged">;

const nothing = new Uint8Array();

/** One reading of a journal, message by message in its order. */
class Walk {
  readonly #deps: JournalReaderDeps;
  readonly #service: string;
  readonly #keys: KeySet;
  readonly #keysInForce: KeySet;
  readonly #log: JournalLog;
  readonly #letGo: LetGo;
  #lastSequence = 0;
  readonly #whole: number;
  readonly #found = new Map<number, Parts>();
  /** Resolutions under dropped keys, by entry. */
  readonly #former = new Map<number, JournalResolution>();
  /**
   * Entries of mode "after", which contain their outcome. No writer makes two with the same bytes, so a second one is
   * somebody's copy.
   */
  readonly #withOutcome = new Set<Digest>();
  #refused = 0;
  /** The entry that was requested in full, once it was read. */
  whole: JournalEntry | undefined;
  /** When the messages of streamed requests were stored. */
  readonly #storedMs = new Map<number, number>();

  constructor(deps: JournalReaderDeps, service: string, letGo: LetGo | undefined, whole: number) {
    this.#deps = deps;
    this.#service = service;
    this.#keys = everyKey(deps.trust);
    const inForce = deps.trust.list().at(-1);
    this.#keysInForce = inForce === undefined ? new Map() : keySetOf(inForce.body);
    this.#letGo = letGo ?? { through: 0, heads: new Map() };
    this.#log = new JournalLog(letGo);
    this.#whole = whole;
  }

  take(message: StoredMessage): void {
    this.#lastSequence = message.sequence;
    // a removed message came back, as after a kill -9 of a NATS server
    if (message.sequence <= this.#letGo.through) return;
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
    if (place.kind === "seal" || place.kind === "letgo") return;
    if (place.kind === "resolution") {
      const { body, kid } = verifyResolution(data, this.#deps.mesh, this.#keys);
      if (body.service !== this.#service) throw new AshlarError("invalid_record", "it is about another service's");
      if (!this.#keysInForce.has(kid)) {
        this.#former.set(body.entry, body);
        return;
      }
      const settled = this.#settle(sequence, body);
      if (settled !== undefined) this.#found.set(body.entry, { ...settled, resolution: body });
      return;
    }
    const { writer, storedMs: firstMs } = this.#deps.reader.readJournal(this.#service, message, storedMs);
    if (place.kind === "outcome") {
      const outcome = parseOutcome(data, writer);
      const settled = this.#settle(sequence, outcome, outcome.proxyId);
      if (settled !== undefined)
        this.#found.set(outcome.entry, { ...settled, ...this.#kept(settled, outcome.entry, outcome) });
      return;
    }
    if (isMessagesKey(place.key)) {
      const stream = Buffer.from(parseMessages(data, writer, place.key).stream).toString("hex");
      this.#log.addMessages({ sequence, stream });
      this.#storedMs.set(sequence, storedMs);
      return;
    }
    const entry = parseEntry(data, writer, place.key);
    if (sequence === this.#whole) this.whole = entry;
    const hasOutcome = entry.outcome !== undefined;
    const digest = digestOf(data);
    if (hasOutcome && this.#withOutcome.has(digest))
      throw new AshlarError("invalid_record", "a copy of an earlier entry");
    if (hasOutcome) this.#withOutcome.add(digest);
    this.#log.addEntry({
      sequence,
      key: place.key,
      isOrdered: entry.order !== "",
      expected: entry.expected,
      hasOutcome,
      streamed: entry.streamed && {
        stream: Buffer.from(entry.nonce).toString("hex"),
        messages: entry.streamed.messages.map((each) => each.sequence),
      },
    });
    const request = sequence === this.#whole ? entry.request : nothing;
    const { nonce, private: cut } = entry;
    const isPrivate = cut !== undefined;
    const parts = sequence === this.#whole ? { nonce, request: cut, response: undefined } : undefined;
    const about = { entry: headOf(entry), requestBytes: requestBytesOf(entry), isPrivate, digest };
    const found = { ...about, storedMs: firstMs, keptSinceMs: storedMs, parts, resolution: undefined, request };
    this.#found.set(sequence, { ...found, ...this.#kept(found, sequence, entry.outcome) });
  }

  #kept(
    { parts: before }: Pick<Parts, "parts">,
    entry: number,
    outcome: JournalOutcome | undefined,
  ): Pick<Parts, "outcome" | "response" | "parts"> {
    const response = entry === this.#whole ? (outcome?.response ?? nothing) : nothing;
    const parts = before && { ...before, response: outcome?.private };
    return { outcome: outcome && { code: outcome.code }, response, parts };
  }

  /**
   * Settles an entry. `proxyId`: for an outcome, who wrote it, which must be the entry's writer. Fails with
   * `invalid_record`.
   */
  #settle(
    sequence: number,
    { entry, entryDigest }: Pick<JournalOutcome, "entry" | "entryDigest">,
    proxyId?: string,
  ): Parts | undefined {
    const found = this.#found.get(entry);
    if (found === undefined) return undefined;
    if (found.digest !== entryDigest || (proxyId !== undefined && proxyId !== found.entry.proxyId))
      throw new AshlarError("invalid_record", `entry ${entry} is another one's, or has other bytes`);
    return this.#log.addOutcome({ sequence, entry }) === undefined ? undefined : found;
  }

  /** Ends the reading. `request`: the streamed messages of the entry that was requested in full. */
  end(request?: Uint8Array): ReadJournal {
    const entries: ReadEntry[] = [];
    for (const judged of this.#log.entries) {
      const parts = this.#found.get(judged.sequence);
      if (parts === undefined) continue;
      const former = judged.settledBy === 0 ? this.#former.get(judged.sequence) : undefined;
      const own = judged.sequence === this.#whole && request !== undefined ? { request } : {};
      entries.push({ ...parts, ...own, judged, resolution: parts.resolution ?? former });
    }
    const { through: letGoThrough, heads: letGoHeads } = this.#letGo;
    const lastSequence = this.#lastSequence;
    return {
      service: this.#service,
      entries,
      refused: this.#refused,
      letGoThrough,
      letGoHeads,
      lastSequence,
      unclosed: [...this.#log.unclosed].map((records) => ({
        first: records[0] ?? 0,
        storedMs: this.#storedMs.get(records.at(-1) ?? 0) ?? 0,
      })),
    };
  }
}

/** Copies the fields that are kept, without byte arrays: each of these would keep the whole message in memory. */
function headOf(entry: JournalEntry): EntryHead {
  const { service, proxyId, caller, user, method, revision, epoch, decision, key, order, expected, deadlineMs } = entry;
  const about = { service, proxyId, caller, user, method, revision, epoch, decision, key, order, expected, deadlineMs };
  const messages = entry.streamed?.messages ?? [];
  return { ...about, firstMessages: messages[0]?.sequence ?? 0, messagesRecords: messages.length };
}
