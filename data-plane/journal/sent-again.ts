/**
 * Sends entries with unknown outcome again, if carrying out their method twice has the effect of carrying it out once.
 */
import type { JournalPlan } from "../../core/journal/plan.js";
import { headerNames } from "../../core/wire/headers.js";
import { requestBytesOf } from "../../core/wire/journal/entry.js";
import type { Field } from "../../core/wire/journal/fields.js";
import type { Clock } from "../../runtime/clock.js";
import { requestOf } from "../../runtime/streamed-request.js";
import { PreparedField } from "../http2/prepared-field.js";
import { renderGrpcTimeout } from "../proxy/grpc-timeout.js";
import type { StreamWaiter } from "../proxy/stream-queue.js";
import { forwardOnce } from "./app-attempt.js";
import type { JournalStore, Settled, StoredEntry } from "./journal-store.js";
import { buildOutcome, keptOf } from "./kept-response.js";
import { RoomShare, responseReserveBytes, type WriteRoom } from "./write-room.js";

export interface SentAgainDeps {
  readonly store: JournalStore;
  readonly clock: Clock;
  readonly room: WriteRoom;
  /** Aborts when the process stops. */
  readonly signal: AbortSignal;
}

/** The milliseconds that an application may take for a repeated write. */
const patienceMs = 30_000;
/** The most repeated writes at once; callers of further ones are told that the outcome is unknown. */
const atOnceMax = 64;

export class SentAgain {
  readonly #deps: SentAgainDeps;
  /** The running repetitions by the entry's sequence: everyone who asks for the same one gets the same answer. */
  readonly #running = new Map<number, Promise<Settled | undefined>>();

  constructor(deps: SentAgainDeps) {
    this.#deps = deps;
  }

  /**
   * Sends a valid entry again that an ended life of this proxy wrote, and records its outcome. Returns the record that
   * settled the entry, which is the first in the log and may be another proxy's. undefined: its outcome remains
   * unknown.
   */
  settle(
    entry: StoredEntry,
    plan: JournalPlan,
    acquire: (waiter: StreamWaiter) => boolean,
  ): Promise<Settled | undefined> {
    const { method, outcome } = entry.entry;
    const found = this.#running.get(entry.sequence);
    if (found !== undefined) return found;
    // the journal lacks private fields, and their subject is not known here
    const isPrivate = entry.entry.private !== undefined || plan.privacy?.cuts.has(method) === true;
    const isOut = outcome !== undefined || !plan.mayRepeat(method) || isPrivate || this.#running.size >= atOnceMax;
    if (isOut) return Promise.resolve(undefined);
    const running = this.#settle(entry, plan, acquire)
      .catch(() => undefined) // as NATS being away: the next one who asks tries again
      .finally(() => this.#running.delete(entry.sequence));
    this.#running.set(entry.sequence, running);
    return running;
  }

  async #settle(
    { sequence, key, entry, digest }: StoredEntry,
    plan: JournalPlan,
    acquire: (waiter: StreamWaiter) => boolean,
  ): Promise<Settled | undefined> {
    const { store, clock } = this.#deps;
    const room = new RoomShare(this.#deps.room);
    try {
      if (!room.reserve(requestBytesOf(entry) + responseReserveBytes)) return undefined;
      const bytes = await requestOf({ get: store.get, clock, random: Math.random }, entry, this.#deps.signal);
      const response = await forwardOnce({ ...toApplication(sequence, entry), bytes, room }, acquire);
      if (typeof response === "string") return undefined;
      const confirms = store.confirmations();
      const about = { entry: sequence, entryDigest: digest, timeMs: clock.nowMs(), notForwarded: false, behind: 0 };
      const outcome = buildOutcome(entry, { ...about, confirms }, keptOf(response, plan, undefined));
      await store.outcomeAppender(outcome, key, false)();
      return await store.settledBy(sequence, key);
    } finally {
      room.end();
    }
  }
}

/**
 * Returns the request as the journal has it: without credentials, and without what a later revision says about its
 * caller.
 */
function toApplication(sequence: number, entry: StoredEntry["entry"]) {
  const fields: Field[] = [];
  const add = (name: string, value: string): void => {
    fields.push({ name, value: Buffer.from(value, "latin1") });
  };
  add(":method", "POST");
  add(":path", `/${entry.method}`);
  fields.push(...entry.fields);
  add("te", "trailers");
  add("grpc-timeout", renderGrpcTimeout(patienceMs));
  add(headerNames.sequence, String(sequence));
  if (/^[\x20-\x7e]+$/.test(entry.key)) add(headerNames.key, entry.key);
  return {
    caller: entry.caller,
    first: [new PreparedField(":scheme", "http"), new PreparedField(":authority", entry.service)],
    fields,
    last: [new PreparedField(headerNames.caller, entry.caller)],
    patienceMs,
    streamWaitMs: patienceMs,
  };
}
