/** Where a read waits that names a write, until the application of this replica says that it has applied that write. */
import { status } from "@grpc/grpc-js";
import { BoundedMap } from "../../core/bounded-map.js";
import { headerNames } from "../../core/wire/headers.js";
import { untilAborted } from "../../runtime/abort.js";
import type { Clock } from "../../runtime/clock.js";
import type { AppliedView } from "../ports.js";
import { type Answer, unprocessedAnswer } from "../proxy/answer.js";
import type { CallGate } from "../proxy/call-side.js";
import type { Call } from "../proxy/forward/call.js";
import type { Reading } from "../proxy/inbound.js";
import type { ReadWait } from "../proxy/read-wait.js";
import type { JournalStore } from "./journal-store.js";

export interface ReadWaitsDeps {
  readonly app: AppliedView;
  readonly store: Pick<JournalStore, "entryAt" | "firstSettled" | "letGo">;
  readonly clock: Clock;
  /** More reads that wait at once go to the primary without waiting (1024). */
  readonly waitingMax?: number;
}

const waitingMaxDefault = 1024;
const positionsKept = 10_000;
/** How long after a look that found no outcome the journal is looked at again; twice as long each time. */
const lookAgainMs = { first: 50, max: 400 };
const silent = "the application of this replica does not report what it has applied";
/** The position of the outcome of what is no write. */
const never = Number.POSITIVE_INFINITY;

/** A read that waits. */
interface Waiting {
  readonly sequence: number;
  /** Ends the wait because of what the application said. */
  done(): void;
}

export class ReadWaits implements Reading {
  readonly #deps: ReadWaitsDeps;
  readonly #waiting = new Set<Waiting>();
  /** Where the outcomes of writes are that were asked for. */
  readonly #positions = new BoundedMap<number, number>(positionsKept);
  readonly #looks = new Map<number, Promise<number | undefined>>();

  constructor(deps: ReadWaitsDeps) {
    this.#deps = deps;
    deps.app.onApplied(() => {
      for (const one of this.#waiting) if (this.#isKnown(one.sequence) || deps.app.applied === undefined) one.done();
    });
  }

  get #waitingMax(): number {
    return this.#deps.waitingMax ?? waitingMaxDefault;
  }

  gateFor(call: Call, wait: ReadWait): CallGate | undefined {
    const revision = call.plan?.revision;
    const elsewhere = (why: string): CallGate => answered(unprocessedAnswer("not-applied", why, revision));
    const sequence = sequenceOf(call.afterSequence);
    if (sequence === undefined) {
      const message = `${headerNames.afterSequence} is not a sequence`;
      return answered({ code: status.INVALID_ARGUMENT, message, revision, decision: undefined, reason: "malformed" });
    }
    if (this.#deps.app.applied === undefined) return elsewhere(silent);
    if (this.#isKnown(sequence)) return undefined;
    if (this.#waiting.size >= this.#waitingMax) return elsewhere("too many reads wait at this replica");
    const left = new AbortController();
    const opened = this.#wait(sequence, waitMsOf(call, wait), left.signal).then((isApplied) =>
      isApplied ? undefined : unprocessedAnswer("not-applied", renderLate(sequence), revision),
    );
    return { opened, leave: () => left.abort() };
  }

  get isReporting(): boolean {
    return this.#deps.app.applied !== undefined;
  }

  refusalNow(call: Call): Answer | undefined {
    const sequence = sequenceOf(call.afterSequence) ?? 0;
    if (this.#isKnown(sequence)) return undefined;
    const why = this.#deps.app.applied === undefined ? silent : renderLate(sequence);
    return unprocessedAnswer("not-applied", why, call.plan?.revision);
  }

  /** Whether the application has applied the write, as far as can be told without reading the journal. */
  #isKnown(sequence: number): boolean {
    const { applied } = this.#deps.app;
    if (applied === undefined) return false;
    return applied.names(sequence) || (this.#positions.get(sequence) ?? never) <= applied.position;
  }

  async #wait(sequence: number, waitMs: number, left: AbortSignal): Promise<boolean> {
    const { app, clock } = this.#deps;
    const over = new AbortController();
    const until = AbortSignal.any([left, over.signal]);
    void clock.sleep(waitMs, until).then(() => over.abort());
    const waiting: Waiting = { sequence, done: () => over.abort() };
    this.#waiting.add(waiting);
    let lookMs = lookAgainMs.first;
    try {
      while (!until.aborted && app.applied !== undefined) {
        // an outcome stands behind its write, so that a write behind the position is surely not applied
        if (app.applied.position >= sequence) await untilAborted(this.#look(sequence), until);
        if (this.#isKnown(sequence)) return true;
        const position = this.#positions.get(sequence);
        if (position === never) return false;
        await clock.sleep(position === undefined ? lookMs : waitMs, until);
        lookMs = Math.min(2 * lookMs, lookAgainMs.max);
      }
      return this.#isKnown(sequence);
    } finally {
      this.#waiting.delete(waiting);
      over.abort();
    }
  }

  /**
   * Looks where the outcome of a write is. Reads of one write look once. A look may outlast the reads that asked for it: while
   * there are as many as reads may wait, there is no further one. Never rejects.
   */
  async #look(sequence: number): Promise<void> {
    if (this.#positions.has(sequence)) return;
    let look = this.#looks.get(sequence);
    if (look === undefined) {
      if (this.#looks.size >= this.#waitingMax) return;
      look = this.#find(sequence)
        .catch(() => undefined) // the journal cannot be read now: the read waits, or goes to the primary
        .finally(() => this.#looks.delete(sequence));
      this.#looks.set(sequence, look);
    }
    const position = await look;
    if (position !== undefined) this.#positions.set(sequence, position);
  }

  /** Returns where the outcome of a write is, `never` where no write is, or undefined: it has none yet, or this server lags. */
  async #find(sequence: number): Promise<number | undefined> {
    const { store } = this.#deps;
    const found = await store.entryAt(sequence);
    if (found === "doubtful") {
      const { through } = await store.letGo(""); // what was let go had its outcome
      return through >= sequence ? through : never;
    }
    if (typeof found !== "object") return found && never;
    return found.entry.outcome === undefined ? (await store.firstSettled(sequence, found.key))?.sequence : sequence;
  }
}

function answered(answer: Answer): CallGate {
  return { opened: Promise.resolve(answer), leave() {} };
}

function sequenceOf(text: string): number | undefined {
  return /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : undefined;
}

/** A read that has a deadline waits at most half of the time that is left, so that the primary has the other half. */
function waitMsOf(call: Call, { waitMs }: ReadWait): number {
  if (call.dueAtMs < 0) return waitMs;
  return Math.max(0, Math.min(waitMs, (call.dueAtMs - call.startedMs) / 2));
}

function renderLate(sequence: number): string {
  return `the application of this replica has not applied write ${sequence} yet`;
}
