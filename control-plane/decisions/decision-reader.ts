/** Reads recorded decisions from the stream on request; nothing is kept here. */
import { type DecisionBatch, type DecisionRecord, timeOfDecisionId } from "../../core/decision/decision-record.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import { parseBatch } from "../../core/wire/decisions.js";
import { decisionStream, decisionSubject } from "../../core/wire/subjects.js";
import type { Bus, StoredMessage } from "../../runtime/bus.js";
import type { Logger } from "../../runtime/log.js";
import { type Stated, type StatementReader, statementSkewMs } from "../../runtime/statement-reader.js";

export interface DecisionReaderDeps {
  readonly bus: Pick<Bus, "streamInfo" | "directGet">;
  readonly log: Logger;
  readonly reader: Pick<StatementReader, "readAsked">;
}

export interface FoundDecision {
  /** The service of the proxy that made the decision. */
  readonly service: string;
  readonly proxyId: string;
  readonly decision: DecisionRecord;
}

export interface DecisionReader {
  /**
   * Yields the batches that were stored from `sinceMs` on (0: all), oldest first, up to those that are there now. Left
   * out are batches that their proxy signed at another time than they were stored, copies, and messages that are no
   * batch. Fails with `unavailable`.
   */
  list(sinceMs: number, signal?: AbortSignal): AsyncGenerator<DecisionBatch, void, undefined>;
  /**
   * Returns the decision with this id, or undefined if there is none or it is no longer kept. Fails with `unavailable`.
   */
  find(id: string, signal?: AbortSignal): Promise<FoundDecision | undefined>;
}

/** The most messages that are requested at once. */
const atOnceMax = 16;
/** The most milliseconds by which the clocks of proxies and of NATS may differ. */
const skewMs = 60_000;
/** The most batches that one search reads: a proxy that could not reach NATS stores its batches late. */
const searchedMax = 50_000;

export function createDecisionReader({ bus, log, reader }: DecisionReaderDeps): DecisionReader {
  const read = (stored: StoredMessage, seen: Set<string>): DecisionBatch | undefined => {
    try {
      const stated = reader.readAsked("decision", stored, stored.storedMs);
      checkTime(stated, stored.storedMs);
      const batch = parseBatch(stored.data, stated.writer);
      return isAgain(stated, seen) ? undefined : batch;
    } catch (error) {
      log.warn("recorded decisions are left out", { subject: stored.subject, error: messageOf(error) });
    }
    return undefined;
  };
  return {
    async *list(sinceMs, signal) {
      const info = await bus.streamInfo(decisionStream);
      if (info === undefined || info.messages === 0) return;
      const first = sinceMs === 0 ? info.firstSequence : await firstFrom(bus, info, sinceMs);
      const seen = new Set<string>();
      for await (const stored of readOn(bus, first, info.lastSequence, signal)) {
        const batch = read(stored, seen);
        if (batch !== undefined) yield batch;
      }
    },
    async find(id, signal) {
      const info = await bus.streamInfo(decisionStream);
      if (info === undefined || info.messages === 0) return undefined;
      const needle = Buffer.from(id, "hex");
      const first = await firstFrom(bus, info, timeOfDecisionId(id) - skewMs);
      const last = Math.min(info.lastSequence, first + searchedMax - 1);
      for await (const stored of readOn(bus, first, last, signal)) {
        if (Buffer.from(stored.data.buffer, stored.data.byteOffset, stored.data.length).indexOf(needle) < 0) continue;
        const batch = read(stored, new Set());
        const decision = batch?.decisions.find((one) => one.id === id);
        if (batch !== undefined && decision !== undefined)
          return { service: batch.service, proxyId: batch.proxyId, decision };
      }
      return undefined;
    },
  };
}

/** Refuses a batch that was signed long before it was stored: somebody who kept it could store it again later. */
function checkTime({ signed }: Stated, storedMs: number): void {
  if (signed === undefined) return;
  if (signed.revoked !== undefined) throw new AshlarError("unauthenticated", "its proxy was revoked before");
  if (Math.abs(storedMs - signed.timeMs) > statementSkewMs)
    throw new AshlarError("unauthenticated", "it was signed at another time than it was stored");
}

const seenMax = 100_000;

/** Returns whether the same batch was there before: a second copy would count its calls twice. */
function isAgain({ writer, signed }: Stated, seen: Set<string>): boolean {
  if (signed === undefined) return false;
  const id = `${writer.proxyId} ${signed.counter}`;
  if (seen.has(id)) return true;
  if (seen.size >= seenMax) seen.clear(); // copies come within the skew, so only the last ones matter
  seen.add(id);
  return false;
}

interface Range {
  readonly firstSequence: number;
  readonly lastSequence: number;
}

/**
 * Returns the sequence of the first message that was stored at `timeMs` or later. The stream loses messages at its
 * beginning, and the oldest of a proxy anywhere.
 */
async function firstFrom(bus: Pick<Bus, "directGet">, range: Range, timeMs: number): Promise<number> {
  let [low, high] = [range.firstSequence, range.lastSequence + 1];
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const stored = await bus.directGet(decisionStream, { nextOf: decisionSubject("*", "*"), from: middle });
    if (stored !== undefined && stored.storedMs < timeMs) low = stored.sequence + 1;
    else high = middle;
  }
  return low;
}

/** Yields the messages of a range, requesting several at once; those that are gone meanwhile are skipped. */
async function* readOn(
  bus: Pick<Bus, "directGet">,
  first: number,
  last: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredMessage, void, undefined> {
  for (let from = first; from <= last; from += atOnceMax) {
    if (signal?.aborted) throw new AshlarError("unavailable", "the call was cancelled");
    const count = Math.min(atOnceMax, last - from + 1);
    const asked = Array.from({ length: count }, (_, index) =>
      bus.directGet(decisionStream, { sequence: from + index }),
    );
    for (const stored of await Promise.all(asked)) if (stored !== undefined) yield stored;
  }
}
