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
  /** Every key that ever was one of the mesh's verifies what control planes said; only those of the last record settle. */
  readonly trust: Pick<Ledger["trust"], "list">;
}

/** What is kept of an entry: not the messages and metadata, of which a journal may have more bytes than there is memory. */
type EntryHead = Pick<
  JournalEntry,
  | ("service" | "proxyId" | "caller" | "user" | "method" | "revision" | "epoch" | "decision")
  | ("key" | "order" | "expected" | "deadlineMs")
> & {
  /** The sequences of the first record with messages of a streamed request, and how many there are; 0: it is not streamed. */
  readonly firstMessages: number;
  readonly messagesRecords: number;
};

/** An entry with what came of it. */
export interface ReadEntry {
  readonly entry: EntryHead;
  readonly requestBytes: number;
  /** Private fields were cut out of the request. */
  readonly isPrivate: boolean;
  /** The digest of its bytes as they are stored. */
  readonly digest: Digest;
  readonly judged: JudgedEntry;
  readonly storedMs: number;
  /** Since when it is in this stream: later, of an imported one. */
  readonly keptSinceMs: number;
  readonly outcome: Pick<JournalOutcome, "code"> | undefined;
  /** Where the entry is not settled: what was said under a signing key that was dropped, which no proxy takes any more. */
  readonly resolution: JournalResolution | undefined;
  /** The messages of the entry that was asked for whole; empty for every other one. */
  readonly request: Uint8Array;
  readonly response: Uint8Array;
  /** The private parts that were cut out of the entry that was asked for whole; undefined for every other one. */
  readonly parts: PrivateParts | undefined;
}

export interface ReadJournal {
  readonly service: string;
  /** In the order of the log. */
  readonly entries: readonly ReadEntry[];
  /** Messages that are no record or that their writer did not sign: they count for nothing. */
  readonly refused: number;
  /** What was let go before: everything up to a sequence (0: nothing), and the heads of order keys there. */
  readonly letGoThrough: number;
  readonly letGoHeads: ReadonlyMap<string, number>;
  /** The last message. */
  readonly lastSequence: number;
  /** Streams without a valid closing record: their first record, and when the last one was stored. */
  readonly unclosed: readonly { readonly first: number; readonly storedMs: number }[];
}

export interface JournalReader {
  /** The services that have a journal, whatever the policy says today. Fails with `unavailable`. */
  services(): Promise<readonly string[]>;
  /**
   * Every entry up to what is there now; `whole`: the sequence of the one whose messages are kept. Fails with `not_found`,
   * `unavailable`, and `limit` if the journal is too long.
   */
  read(service: string, signal?: AbortSignal, whole?: number): Promise<ReadJournal>;
}

/** Messages that are asked for at once. */
const atOnceMax = 16;
/** A longer journal is not read whole: validity needs it from its first entry on. */
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
  /** Resolutions under dropped keys, by their entries. */
  readonly #former = new Map<number, JournalResolution>();
  /** Entries with their outcome, of mode "after": no writer makes two of the same bytes, so the second is somebody's copy. */
  readonly #withOutcome = new Set<Digest>();
  #refused = 0;
  /** The entry that was asked for whole, once it was read. */
  whole: JournalEntry | undefined;
  /** When messages of streams were stored. */
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
    if (message.sequence <= this.#letGo.through) return; // it came back, as after a kill -9 of a server
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

  /** `proxyId`: who says it, where it is an outcome: the entry's own writer alone knows. Fails with `invalid_record`. */
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

  /** `request`: the messages of the entry that was asked for whole, where they are a stream's. */
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

/** A copy without bytes: each of them would hold the message that it was read from. */
function headOf(entry: JournalEntry): EntryHead {
  const { service, proxyId, caller, user, method, revision, epoch, decision, key, order, expected, deadlineMs } = entry;
  const about = { service, proxyId, caller, user, method, revision, epoch, decision, key, order, expected, deadlineMs };
  const messages = entry.streamed?.messages ?? [];
  return { ...about, firstMessages: messages[0]?.sequence ?? 0, messagesRecords: messages.length };
}
