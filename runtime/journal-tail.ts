/** Reads a journal's stream in its order and goes on as it grows. */
import { AshlarError, isAshlarError } from "../core/errors.js";
import type { StoredMessage, StoredQuery } from "./bus.js";
import type { Clock } from "./clock.js";

export interface TailDeps {
  /** Reads one message. A replica may lag: what it has is a prefix of the log. Fails with `unavailable`. */
  readonly get: (query: StoredQuery) => Promise<StoredMessage | undefined>;
  /** The subjects of the stream, with a wildcard. */
  readonly subjects: string;
  readonly clock: Clock;
}

/** Messages asked for at once, and about how many bytes they may have together. */
const atOnceMax = 32;
const bytesAtOnce = 1024 * 1024;
/** While NATS is away, it is asked again for so long. */
const awayMsMax = 10_000;
const retryMs = 200;

/**
 * Yields the messages from `from` on in batches. An empty batch: nothing more is there yet; whoever goes on then asks again.
 * Fails with `stale` where the next message is no longer kept, so that nothing is left out silently, and with
 * `unavailable` when NATS is away for ten seconds.
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
  // replicas hold prefixes of the log, so one that has a later message and not this one has let it go
  const first = await get({ nextOf: subjects, from: next });
  if (first === undefined) return [];
  if (first.sequence !== next) throw new AshlarError("stale", renderDropped(next, first.sequence));
  return [first];
}

/** How many messages to ask for next, by how many there were and how long they are. */
function roomFor(batch: readonly StoredMessage[], atOnce: number): number {
  if (batch.length < atOnce) return 1;
  const bytes = batch.reduce((sum, { data }) => sum + data.length, 0);
  const fitting = Math.floor(bytesAtOnce / Math.max(1, bytes / batch.length));
  return Math.max(1, Math.min(atOnce * 2, atOnceMax, fitting));
}

/** What to do where a reader asks for what was let go. */
export function renderDropped(asked: number, first: number): string {
  const remedy = `begin at ${first} with a state that has what came before (an export, or a snapshot of your own)`;
  return `position ${asked} of the journal is no longer kept, ${first} is the first that is: ${remedy}`;
}
