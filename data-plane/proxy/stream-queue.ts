import type { UpstreamSession } from "./forward/upstream-session.js";
import type { WaitCounters } from "./wait-counters.js";

/** A call that waits for a stream. It is in at most one queue. */
export class StreamWaiter {
  /** The caller. Callers take turns. */
  readonly caller: string;
  /** Opens the call on a session with room. Returns false if the session has none after all. */
  readonly open: (session: UpstreamSession) => boolean;
  /**
   * Called once: with undefined when `open` succeeded, otherwise with the reason for having no stream. Not called after
   * `leave`.
   */
  readonly #done: (error: unknown) => void;
  #over = false;
  line: CallerLine | null = null;
  after: StreamWaiter | null = null;
  before: StreamWaiter | null = null;

  constructor(caller: string, open: (session: UpstreamSession) => boolean, done: (error: unknown) => void) {
    this.caller = caller;
    this.open = open;
    this.#done = done;
  }

  /** Whether the wait is over: the call has a stream, will never get one, or has left. */
  get over(): boolean {
    return this.#over;
  }

  end(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#done(error);
  }

  /** Ends the wait because the call is over or went elsewhere. */
  leave(): void {
    this.#over = true;
    this.line?.queue.remove(this);
  }
}

/** The waiters of one caller, in order of arrival. */
class CallerLine {
  readonly queue: StreamQueue;
  readonly caller: string;
  first: StreamWaiter | null = null;
  last: StreamWaiter | null = null;
  size = 0;

  constructor(queue: StreamQueue, caller: string) {
    this.queue = queue;
    this.caller = caller;
  }
}

/**
 * A queue of calls that wait for a stream to one target. Callers take turns, and the calls of a caller keep their
 * order, so that a caller with many calls does not hold up others. It is bounded: when it is full, the caller with the
 * most calls loses its last one.
 */
export class StreamQueue {
  readonly #max: number;
  readonly #counters: WaitCounters;
  /** The lines by caller, in the order of their turns: the next one first. */
  readonly #lines = new Map<string, CallerLine>();
  size = 0;

  constructor(max: number, counters: WaitCounters) {
    this.#max = max;
    this.#counters = counters;
  }

  /**
   * Adds a waiter. Returns undefined, or the waiter that a full queue pushed out: the new one, or the last one of the
   * caller with the most.
   */
  add(waiter: StreamWaiter): StreamWaiter | undefined {
    let refused: StreamWaiter | undefined;
    if (this.size >= this.#max) {
      this.#counters.refused++;
      const longest = this.#longest();
      const own = this.#lines.get(waiter.caller)?.size ?? 0;
      if (longest === undefined || longest.last === null || own + 1 >= longest.size) return waiter;
      refused = longest.last;
      this.remove(refused);
    }
    this.#counters.waited++;
    const line = this.#lineOf(waiter.caller);
    waiter.before = line.last;
    if (line.last === null) line.first = waiter;
    else line.last.after = waiter;
    line.last = waiter;
    this.#joined(line, waiter);
    return refused;
  }

  /** Removes and returns the waiter whose turn it is. */
  next(): StreamWaiter | undefined {
    for (const line of this.#lines.values()) {
      const waiter = line.first;
      if (waiter === null) return undefined;
      this.remove(waiter);
      if (line.size === 0) return waiter;
      this.#lines.delete(line.caller); // its next turn comes after those of the others
      this.#lines.set(line.caller, line);
      return waiter;
    }
    return undefined;
  }

  /** Puts a waiter back where `next` took it from. */
  putBack(waiter: StreamWaiter): void {
    const line = this.#lineOf(waiter.caller);
    waiter.after = line.first;
    if (line.first === null) line.last = waiter;
    else line.first.before = waiter;
    line.first = waiter;
    this.#joined(line, waiter);
  }

  remove(waiter: StreamWaiter): void {
    const { line, before, after } = waiter;
    if (line === null) return;
    if (before === null) line.first = after;
    else before.after = after;
    if (after === null) line.last = before;
    else after.before = before;
    waiter.line = waiter.before = waiter.after = null;
    line.size--;
    this.size--;
    this.#counters.waiting--;
    if (line.size === 0) this.#lines.delete(line.caller);
  }

  #joined(line: CallerLine, waiter: StreamWaiter): void {
    waiter.line = line;
    line.size++;
    this.size++;
    this.#counters.waiting++;
  }

  #lineOf(caller: string): CallerLine {
    let line = this.#lines.get(caller);
    if (line === undefined) {
      line = new CallerLine(this, caller);
      this.#lines.set(caller, line);
    }
    return line;
  }

  #longest(): CallerLine | undefined {
    let longest: CallerLine | undefined;
    for (const line of this.#lines.values()) if (longest === undefined || line.size > longest.size) longest = line;
    return longest;
  }
}
