/** Reads a journal's stream in order and continues as it grows. */
import { AshlarError, isAshlarError } from "../core/errors.js";
import type { StoredMessage, StoredQuery } from "./bus.js";
import type { Clock } from "./clock.js";

export interface TailDeps {
  /** Reads one message. A replica may lag, so what it has is a prefix of the log. Fails with `unavailable`. */
  readonly get: (query: StoredQuery) => Promise<StoredMessage | undefined>;
  /** The subjects of the stream, with a wildcard. */
  readonly subjects: string;
  readonly clock: Clock;
}

/** The most messages that are requested at once, and about how many bytes they may have together. */
const atOnceMax = 32;
const bytesAtOnce = 1024 * 1024;
/** The milliseconds for which requests are repeated while NATS is away. */
const awayMsMax = 10_000;
const retryMs = 200;

/**
 * Yields the messages from `from` on in batches. An empty batch means that there are no more yet; continuing the
 * iteration asks again. Fails with `stale` if the next message is no longer kept, so that nothing is skipped silently,
 * and with `unavailable` if NATS is away for ten seconds.
 */
export async function* tailJournal(
  { get, subjects, clock }: TailDeps,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<readonly StoredMessage[]> {
  let next = from;
  let atOnce = 1;
  let awaySinceMs: number | undefined;
  while (!signal.aborted) {
    let batch: readonly StoredMessage[];
    try {
      batch = await readBatch(get, subjects, next, atOnce);
      awaySinceMs = undefined;
    } catch (error) {
      if (!isAshlarError(error, "unavailable")) throw error;
      awaySinceMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - awaySinceMs >= awayMsMax) throw error;
      await clock.sleep(retryMs, signal);
      continue;
    }
    const last = batch.at(-1);
    atOnce = last === undefined ? 1 : roomFor(batch, atOnce);
    if (last !== undefined) next = last.sequence + 1;
    yield batch;
  }
}

async function readBatch(
  get: TailDeps["get"],
  subjects: string,
  next: number,
  atOnce: number,
): Promise<readonly StoredMessage[]> {
  const asked = Array.from({ length: atOnce }, (_, at) => get({ sequence: next + at }));
  const found = await Promise.all(asked);
  const end = found.indexOf(undefined);
  const batch = (end < 0 ? found : found.slice(0, end)).filter((message) => message !== undefined);
  if (batch.length > 0) return batch;
  // replicas hold prefixes of the log, so a replica that has a later message and lacks this one has removed it
  const first = await get({ nextOf: subjects, from: next });
  if (first === undefined) return [];
  if (first.sequence !== next) throw new AshlarError("stale", renderDropped(next, first.sequence));
  return [first];
}

/** Returns how many messages to request next, from the number and size of the last ones. */
function roomFor(batch: readonly StoredMessage[], atOnce: number): number {
  if (batch.length < atOnce) return 1;
  const bytes = batch.reduce((sum, { data }) => sum + data.length, 0);
  const fitting = Math.floor(bytesAtOnce / Math.max(1, bytes / batch.length));
  return Math.max(1, Math.min(atOnce * 2, atOnceMax, fitting));
}

/** Says what a reader should do that asks for messages which were removed. */
export function renderDropped(asked: number, first: number): string {
  const remedy = `begin at ${first} with a state that has what came before (an export, or a snapshot of your own)`;
  return `position ${asked} of the journal is no longer kept, ${first} is the first that is: ${remedy}`;
}
