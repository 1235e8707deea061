/**
 * Looks at the journals at intervals, so that `status` reports long before one is full or a broker remembers too many
 * keys.
 */
import { messageOf } from "../../core/errors.js";
import { renderInClear } from "../../core/kinds/journal/private.js";
import { journalKeysStream, journalPrefix, journalStream } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import { type Problem, problemsAbout } from "../fleet/problems.js";
import { renderBytes } from "../nats/disk-room.js";
import { type FoundJournal, findJournals } from "./find-journals.js";
import { closedSpec } from "./journal-retainer.js";
import { isImporting, isReady, type WantedJournal } from "./journal-streams.js";
import { areKeysReady, type WantedKeys } from "./key-streams.js";

export interface JournalWatchDeps {
  readonly bus: Pick<Bus, "connected" | "streamNames" | "streamInfo" | "directGet">;
  readonly clock: Clock;
  /** Returns the journals that the active policy names. */
  wanted(): Promise<readonly WantedJournal[]>;
  /** Gives journals what the disk has room for. */
  fit(): Promise<void>;
  /** Opens a journal again that was closed for the removal of its beginning, if that removal did not finish. */
  reopen(journal: FoundJournal): Promise<void>;
}

export interface JournalWatch {
  problems(): readonly Problem[];
  close(): Promise<void>;
}

const lookEveryMs = 10_000;
/** The share from which on a full journal, or stream of data keys, is a problem, so that there is time to react. */
const fullShare = 0.7;
/** About how many bytes of a broker's memory each remembered id takes. */
const idBytes = 270;
/** The number of remembered ids above which there is a problem. */
const rememberedIdsMax = 1_000_000;

/** Looks at intervals until it is closed. */
export function watchJournals(deps: JournalWatchDeps): JournalWatch {
  const stop = new AbortController();
  let problems: readonly Problem[] = [];
  const closed = new Map<string, number>();
  const running = (async () => {
    while (!stop.signal.aborted) {
      try {
        if (deps.bus.connected) {
          await deps.fit();
          problems = await lookAtJournals(deps);
          await reopenClosed(deps, closed);
        }
      } catch (error) {
        problems = problemsAbout("journal", [`journals cannot be looked at: ${messageOf(error)}`]);
      }
      await deps.clock.sleep(lookEveryMs, stop.signal);
    }
  })();
  return {
    problems: () => problems,
    async close() {
      stop.abort();
      await running;
    },
  };
}

/** The number of looks after which a closed journal is abandoned: a removal takes less than a minute. */
const looksClosedMax = 6;

/** `closed`: how often in a row the journal of each service was found closed. */
async function reopenClosed(deps: JournalWatchDeps, closed: Map<string, number>): Promise<void> {
  for (const journal of await findJournals(deps.bus)) {
    const { service, info } = journal;
    // an import is none: open, it might acknowledge writes that are lost when it is given up
    const isClosed = !isImporting(info) && String(closedSpec(info.spec).subjects) === String(info.spec.subjects);
    if (!isClosed) closed.delete(service);
    else if ((closed.get(service) ?? 0) < looksClosedMax) closed.set(service, (closed.get(service) ?? 0) + 1);
    else await deps.reopen(journal);
  }
}

/** Returns the present problems of the journals. */
export async function lookAtJournals(deps: Omit<JournalWatchDeps, "fit" | "reopen">): Promise<readonly Problem[]> {
  const [found, wanted] = [await findJournals(deps.bus), await deps.wanted()];
  const by = new Map(found.map((one) => [one.service, one]));
  const missing = wanted.flatMap((one) =>
    problemsAbout("journal", missingLines(one, by.get(one.service)), one.service),
  );
  const keys: Problem[] = [];
  for (const one of wanted) keys.push(...problemsAbout("journal", await keysLines(deps.bus, one), one.service));
  const inClear = wanted.flatMap(({ service, undescribed }) => {
    const line = renderInClear(service, undescribed);
    return line === undefined ? [] : problemsAbout("journal", [line], service);
  });
  const present: Problem[] = [];
  for (const one of found) {
    const lines = [...importLines(one), ...fullLines(one), ...(await rememberedLines(deps, one))];
    present.push(...problemsAbout("journal", lines, one.service));
  }
  return [...missing, ...keys, ...inClear, ...present];
}

function missingLines(wanted: WantedJournal, found: FoundJournal | undefined): readonly string[] {
  if (isReady(wanted, found?.info)) return [];
  const { service } = wanted;
  const what =
    found === undefined
      ? `stream ${journalStream(service)} is not there`
      : `stream ${journalStream(service)} is not what a journal has to be`;
  return [
    `the journal of ${service} cannot be written (${what}): its writes are answered 14; ` +
      "`ashlar activate` of the active revision makes an empty one if there is none",
  ];
}

function importLines({ service, info }: FoundJournal): readonly string[] {
  if (!isImporting(info)) return [];
  return [
    `an import of the journal of ${service} is under way or did not end: until it has, no policy with a Journal of ${service} is taken; ` +
      "run `ashlar journal import` again, or with --give-up",
  ];
}

function fullLines({ service, info }: FoundJournal): readonly string[] {
  const { maxBytes } = info.spec;
  if (maxBytes === undefined || info.bytes < maxBytes * fullShare) return [];
  const percent = Math.floor((info.bytes / maxBytes) * 100);
  return [
    `the journal of ${service} is ${percent} % full, of ${renderBytes(maxBytes)}: once it is full, writes are answered 14; ` +
      "make room on the disk, raise --journal-bytes, or let go of old entries (`ashlar journal retain`)",
  ];
}

/**
 * Returns what keeps the data keys of a service's private fields from being stored, now or soon. Fails with
 * `unavailable`.
 */
async function keysLines(bus: Pick<Bus, "streamInfo">, wanted: WantedKeys): Promise<readonly string[]> {
  if (wanted.hasPrivate !== true) return [];
  const { service } = wanted;
  const stream = journalKeysStream(service);
  const info = await bus.streamInfo(stream);
  if (info === undefined || !areKeysReady(wanted, info)) {
    const what = info === undefined ? "is not there" : "is not what data keys need";
    return [
      `the data keys of ${service}'s private fields cannot be stored (stream ${stream} ${what}): writes that have some are ` +
        "answered 14; `ashlar activate` of the active revision makes an empty one if there is none, and what is private so far " +
        "can be read only with the old one",
    ];
  }
  const { maxBytes } = info.spec;
  if (maxBytes === undefined || info.bytes < maxBytes * fullShare) return [];
  const percent = Math.floor((info.bytes / maxBytes) * 100);
  return [
    `the data keys of ${service}'s private fields fill ${percent} % of stream ${stream}, of ${renderBytes(maxBytes)}: once it is ` +
      "full, writes about a subject that their proxy has no key for are answered 14; shred subjects whose writes nobody needs to " +
      "read (`ashlar journal shred`)",
  ];
}

async function rememberedLines(
  { bus, clock }: Pick<JournalWatchDeps, "bus" | "clock">,
  found: FoundJournal,
): Promise<readonly string[]> {
  const ids = await rememberedIds(bus, found, clock.nowMs());
  if (ids <= rememberedIdsMax) return [];
  return [
    `the journal of ${found.service} remembers about ${ids} keys and outcomes, ${renderBytes(ids * idBytes)} of memory in each ` +
      "server of NATS: shorten rememberKeys",
  ];
}

/** Returns how many messages arrived within the window, which is the most ids that are remembered. */
async function rememberedIds(
  bus: Pick<Bus, "directGet">,
  { service, info }: FoundJournal,
  nowMs: number,
): Promise<number> {
  if (info.messages <= rememberedIdsMax) return info.messages; // at most all of them, so no search is needed
  const sinceMs = nowMs - (info.spec.duplicateWindowMs ?? 120_000);
  let [low, high] = [info.firstSequence, info.lastSequence + 1];
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const stored = await bus.directGet(journalStream(service), {
      nextOf: `${journalPrefix(service)}.>`,
      from: middle,
    });
    if (stored !== undefined && stored.storedMs < sinceMs) low = stored.sequence + 1;
    else high = middle;
  }
  return info.lastSequence + 1 - low;
}
