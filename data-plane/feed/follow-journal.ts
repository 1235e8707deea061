/** The event feed of a service's journal: its settled writes in the order in which they were settled. */
import { BoundedMap } from "../../core/bounded-map.js";
import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { JournalEntry } from "../../core/wire/journal/entry.js";
import { journalPrefix, journalStream } from "../../core/wire/subjects.js";
import type { FollowResponse } from "../../proto/gen/ashlar/v1/feed.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import { type JournalRecord, type JournalRecordDeps, readJournalRecord } from "../../runtime/journal-records.js";
import { Settlements } from "../../runtime/journal-settlements.js";
import { renderDropped, tailJournal } from "../../runtime/journal-tail.js";
import { requestOf } from "../../runtime/streamed-request.js";
import { readLetGo } from "../journal/read-let-go.js";
import { eventOf, isEvent } from "./feed-event.js";
import type { JournalNews } from "./journal-news.js";

export interface FollowDeps extends JournalRecordDeps {
  readonly bus: Pick<Bus, "directGet">;
  readonly news: JournalNews;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface FollowOptions {
  readonly service: string;
  /** The first position; 0: the first that is kept. */
  readonly from: number;
  /** Only writes with these order keys; empty: all writes. */
  readonly keys: ReadonlySet<string>;
}

type Response = Omit<FollowResponse, "_unknownFields">;

/**
 * The number of remembered entries of mode "after", which contain their outcome: the same bytes again are somebody's
 * copy and no event.
 */
const wholeMax = 10_000;
/** After this many positions without an event, the reader is told how far the feed has come. */
const quietMax = 1000;
/** The most milliseconds for which a replica may lag behind a position that its reader knows. */
const lagMsMax = 5000;
const pollMs = 100;
/** The key of entries without order key and idempotency key, for which a removal states no head. */
const unkeyed = "u";

/**
 * Yields events, at most one ahead of whoever takes them, until `signal` aborts. Fails with `stale` if the position is
 * no longer kept or is beyond the journal's end, with `not_found` if there is no journal, and with `unavailable`.
 */
export async function* followJournal(
  deps: FollowDeps,
  options: FollowOptions,
  signal: AbortSignal,
): AsyncGenerator<Response> {
  const { bus, news, clock } = deps;
  const { service } = options;
  const get = (query: Parameters<Bus["directGet"]>[1]) => bus.directGet(journalStream(service), query);
  const subjects = `${journalPrefix(service)}.>`;
  const settlements = new Settlements({ ...deps, get }, service, signal);
  const reads = { get, clock, random: deps.random };
  const framedOf: FramedOf = (entry) => requestOf(reads, entry, signal);
  const whose = { service, mesh: deps.mesh, keys: deps.keys() };
  const { through } = await readLetGo(whose, unkeyed, (lastOf) => get({ lastOf }));
  const first = Math.max(through + 1, (await get({ nextOf: subjects, from: 1 }))?.sequence ?? 1);
  if (options.from !== 0 && options.from < first) throw new AshlarError("stale", renderDropped(options.from, first));
  let told = options.from === 0 ? first : await notBeyond(get, subjects, options.from, clock, signal);
  const whole = new BoundedMap<Digest, true>(wholeMax);
  let heard = news.stored;
  let next = told;
  for await (const batch of tailJournal({ get, subjects, clock }, told, signal)) {
    for (const message of batch) {
      next = message.sequence + 1;
      const record = readJournalRecord(deps, service, message);
      const event = record && (await eventFor(record, settlements, whole, options.keys, framedOf));
      if (event === undefined && next - told < quietMax) continue;
      yield { event, next };
      told = next;
    }
    if (batch.length > 0) continue;
    if (next > told) yield { event: undefined, next };
    told = next;
    await news.after(heard, signal);
    heard = news.stored;
  }
}

/** Returns the position. Fails with `stale` if it is beyond the journal's end. */
async function notBeyond(
  get: (query: Parameters<Bus["directGet"]>[1]) => ReturnType<Bus["directGet"]>,
  subjects: string,
  from: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<number> {
  const untilMs = clock.monotonicMs() + lagMsMax;
  for (;;) {
    const last = (await get({ lastOf: subjects }))?.sequence ?? 0;
    if (from <= last + 1) return from;
    if (clock.monotonicMs() >= untilMs || signal.aborted) {
      const why = `position ${from} is beyond the journal's end, which is ${last}`;
      throw new AshlarError(
        "stale",
        `${why}: is it a position of another mesh's journal? Begin at ${last + 1} or before`,
      );
    }
    await clock.sleep(pollMs, signal);
  }
}

type FramedOf = (entry: JournalEntry) => Promise<Uint8Array>;

async function eventFor(
  record: JournalRecord,
  settlements: Settlements,
  whole: BoundedMap<Digest, true>,
  keys: ReadonlySet<string>,
  framedOf: FramedOf,
) {
  if (record.kind === "messages") return undefined;
  const isWanted = (order: string): boolean => keys.size === 0 || keys.has(order);
  if (record.kind === "entry") {
    const { entry, sequence } = record;
    if (entry.outcome === undefined) {
      settlements.add(record);
      return undefined;
    }
    if (!isWanted(entry.order) || whole.get(record.digest) === true) return undefined;
    whole.set(record.digest, true);
    return eventOf(entry, sequence, { position: sequence, outcome: entry.outcome }, await framedOf(entry));
  }
  const settled = await settlements.settledBy(record);
  if (settled === undefined || !isWanted(settled.entry.order)) return undefined;
  const { sequence: position } = record;
  const settlement =
    record.kind === "outcome" ? { position, outcome: record.outcome } : { position, resolution: record.resolution };
  if (!isEvent(settlement)) return undefined;
  return eventOf(settled.entry, settled.sequence, settlement, await framedOf(settled.entry));
}
