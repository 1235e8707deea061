/** Sorts events of several proxies, each with its own delay, by time, within bounds. */

/** Proxies store a decision within a few seconds, and count refusals for ten. */
const lateMsMax = 20_000;
const sortEvery = 20_000;
const waitingMax = 200_000;

interface Waiting {
  readonly timeMs: number;
  /** Among events of equal time, those with `comesFirst` run before the others. */
  readonly comesFirst: boolean;
  readonly run: () => void;
}

export class TimeOrder {
  #waiting: Waiting[] = [];
  #unsorted = 0;
  #newestMs = Number.NEGATIVE_INFINITY;

  /**
   * Runs `run` after all earlier events that are added in time. Events of equal time run in the order in which they
   * were added.
   */
  add(timeMs: number, run: () => void): void {
    this.#wait({ timeMs, comesFirst: false, run });
  }

  /** Runs `run` before all events that are added for the same time. */
  addFirst(timeMs: number, run: () => void): void {
    this.#wait({ timeMs, comesFirst: true, run });
  }

  #wait(waiting: Waiting): void {
    const { timeMs } = waiting;
    this.#waiting.push(waiting);
    this.#newestMs = Math.max(this.#newestMs, timeMs);
    if (++this.#unsorted < sortEvery) return;
    this.#runUntil(this.#newestMs - lateMsMax, waitingMax / 2);
  }

  /** Runs everything that still waits. */
  flush(): void {
    this.#runUntil(Number.POSITIVE_INFINITY, 0);
  }

  /** Runs the events before `untilMs`. If more than `waitingMax` would remain, runs the oldest until `keep` remain. */
  #runUntil(untilMs: number, keep: number): void {
    const waiting = this.#waiting.sort((a, b) => a.timeMs - b.timeMs || Number(b.comesFirst) - Number(a.comesFirst));
    this.#unsorted = 0;
    let due = waiting.findIndex(({ timeMs }) => timeMs > untilMs);
    if (due < 0) due = waiting.length;
    if (waiting.length - due > waitingMax) due = waiting.length - keep;
    this.#waiting = waiting.slice(due);
    for (let index = 0; index < due; index++) waiting[index]?.run();
  }
}
