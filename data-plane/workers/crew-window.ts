import { type CallCounts, type MethodCounts, methodsToldMax } from "../../core/model.js";

/** The counts of one worker since its last switch. */
export interface WorkerWindow {
  readonly epoch: number;
  readonly calls: CallCounts;
  readonly before: CallCounts | undefined;
}

const nothing: CallCounts = { calls: 0, refused: 0, failed: 0, took: [], methods: [] };

/** The calls of all workers since the last switch, including workers that have ended. As of the last measures. */
export class CrewWindow {
  readonly #last = new Map<number, WorkerWindow>();
  #ended: WorkerWindow | undefined;

  take(worker: number, window: WorkerWindow): void {
    this.#last.set(worker, window);
  }

  gone(worker: number): void {
    const last = this.#last.get(worker);
    this.#last.delete(worker);
    if (last === undefined || (this.#ended !== undefined && this.#ended.epoch > last.epoch)) return;
    this.#ended = sumOf(this.#ended?.epoch === last.epoch ? [this.#ended, last] : [last]);
  }

  get calls(): CallCounts {
    return this.#sum()?.calls ?? nothing;
  }

  get before(): CallCounts | undefined {
    return this.#sum()?.before;
  }

  /** Sums the counts of the newest epoch. Workers that are behind have counted nothing in it yet. */
  #sum(): WorkerWindow | undefined {
    const all = [...this.#last.values(), ...(this.#ended === undefined ? [] : [this.#ended])];
    const epoch = Math.max(...all.map((one) => one.epoch));
    return sumOf(all.filter((one) => one.epoch === epoch));
  }
}

function sumOf(windows: readonly WorkerWindow[]): WorkerWindow | undefined {
  return windows.reduce<WorkerWindow | undefined>((sum, { epoch, calls, before }) => {
    return sum === undefined
      ? { epoch, calls, before }
      : {
          epoch,
          calls: add(sum.calls, calls),
          before: sum.before && before ? add(sum.before, before) : (sum.before ?? before),
        };
  }, undefined);
}

/** Adds two counts, except their methods. */
function addPlain(a: CallCounts, b: CallCounts): CallCounts {
  const [longer, shorter] = a.took.length >= b.took.length ? [a.took, b.took] : [b.took, a.took];
  return {
    calls: a.calls + b.calls,
    refused: a.refused + b.refused,
    failed: a.failed + b.failed,
    took: longer.map((count, place) => count + (shorter[place] ?? 0)),
  };
}

function add(a: CallCounts, b: CallCounts): CallCounts {
  return { ...addPlain(a, b), methods: addMethods([...(a.methods ?? []), ...(b.methods ?? [])]) };
}

/** Adds counts of the same method and caller. Returns those with the most calls if there are too many. */
function addMethods(all: readonly MethodCounts[]): readonly MethodCounts[] {
  const sums = new Map<string, MethodCounts>();
  for (const one of all) {
    const key = `${one.outbound} ${one.service} ${one.method} ${one.caller ?? ""}`;
    const known = sums.get(key);
    sums.set(key, known === undefined ? one : { ...one, ...addPlain(known, one) });
  }
  return [...sums.values()].sort((a, b) => b.calls - a.calls).slice(0, methodsToldMax);
}
