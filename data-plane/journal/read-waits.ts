/** Lets a read that names a write wait until this replica's application reports that it has applied the write. */
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
import { WaitPlaces } from "./wait-places.js";

export interface ReadWaitsDeps {
  readonly app: AppliedView;
  readonly store: Pick<JournalStore, "entryAt" | "firstSettled" | "letGo">;
  readonly clock: Clock;
  /** How many reads may wait at once, shared as `WaitPlaces` says (1024); others go to the primary without waiting. */
  readonly waitingMax?: number;
}

const waitingMaxDefault = 1024;
const positionsKept = 10_000;
/** The milliseconds after which the journal is looked at again if there was no outcome; they double each time. */
const lookAgainMs = { first: 50, max: 400 };
const silent = "the application of this replica does not report what it has applied";
/** The position for a sequence that is no write. */
const never = Number.POSITIVE_INFINITY;

/** The position of a write's outcome; undefined: it has none yet, or nobody can tell; "absent": the journal has no such sequence. */
type Found = number | "absent" | undefined;

/** A read that waits. */
interface Waiting {
  readonly sequence: number;
  /** Ends the wait because of what the application reported. */
  done(): void;
}

export class ReadWaits implements Reading {
  readonly #deps: ReadWaitsDeps;
  readonly #waiting = new Set<Waiting>();
  /** The positions of outcomes that were asked for, by write. */
  readonly #positions = new BoundedMap<number, number>(positionsKept);
  readonly #looks = new Map<number, Promise<Found>>();
  readonly #places: WaitPlaces;

  constructor(deps: ReadWaitsDeps) {
    this.#deps = deps;
    this.#places = new WaitPlaces(this.#waitingMax);
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
    const giveBack = this.#places.take(call.caller, call.readFor);
    if (giveBack === undefined) return elsewhere("too many reads wait at this replica");
    const left = new AbortController();
    const opened = this.#wait(sequence, waitMsOf(call, wait), left.signal)
      .finally(giveBack)
      .then((isApplied) => (isApplied ? undefined : unprocessedAnswer("not-applied", renderLate(sequence), revision)));
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

  /** Returns whether the application has applied the write, as far as is known without reading the journal. */
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
    let [isFirst, isThere] = [true, false];
    try {
      while (!until.aborted && app.applied !== undefined) {
        // an outcome comes after its write, so a write after the position is not applied: it is looked for once, to see that it exists
        if (app.applied.position >= sequence || !(isFirst || isThere)) {
          const found = await untilAborted(this.#look(sequence), until);
          if (found === "absent" && !isFirst) return this.#isKnown(sequence); // no write has it, or this server lags
          isThere = found !== "absent";
        }
        if (this.#isKnown(sequence)) return true;
        const position = this.#positions.get(sequence);
        if (position === never) return false;
        await clock.sleep(position === undefined ? lookMs : waitMs, until);
        lookMs = Math.min(2 * lookMs, lookAgainMs.max);
        isFirst = false;
      }
      return this.#isKnown(sequence);
    } finally {
      this.#waiting.delete(waiting);
      over.abort();
    }
  }

  /**
   * Looks up the position of a write's outcome. Reads of one write share a look-up. A look-up may outlast its reads: at
   * most as many run as reads may wait. Never rejects.
   */
  async #look(sequence: number): Promise<Found> {
    const known = this.#positions.get(sequence);
    if (known !== undefined) return known;
    let look = this.#looks.get(sequence);
    if (look === undefined) {
      if (this.#looks.size >= this.#waitingMax) return undefined;
      look = this.#find(sequence)
        .catch(() => undefined) // the journal cannot be read now: the read waits, or goes to the primary
        .finally(() => this.#looks.delete(sequence));
      this.#looks.set(sequence, look);
    }
    const found = await look;
    if (typeof found === "number") this.#positions.set(sequence, found);
    return found;
  }

  /** Returns the position of a write's outcome; `never` if the sequence is no write; "absent" also while this server lags. */
  async #find(sequence: number): Promise<Found> {
    const { store } = this.#deps;
    const found = await store.entryAt(sequence);
    if (found === "doubtful") {
      const { through } = await store.letGo(""); // what was let go had its outcome
      return through >= sequence ? through : never;
    }
    if (typeof found !== "object") return found === undefined ? "absent" : never;
    return found.entry.outcome === undefined ? (await store.firstSettled(sequence, found.key))?.sequence : sequence;
  }
}

function answered(answer: Answer): CallGate {
  return { opened: Promise.resolve(answer), leave() {} };
}

function sequenceOf(text: string): number | undefined {
  return /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : undefined;
}

/**
 * Returns how long a read waits: at most half of the time until its deadline, so that the primary has the other half.
 */
function waitMsOf(call: Call, { waitMs }: ReadWait): number {
  if (call.dueAtMs < 0) return waitMs;
  return Math.max(0, Math.min(waitMs, (call.dueAtMs - call.startedMs) / 2));
}

function renderLate(sequence: number): string {
  return `the application of this replica has not applied write ${sequence} yet`;
}
