/**
 * Gives memory back that work which is over has left behind. V8 collects garbage as a program allocates: after the policy of
 * thousands of services was prepared, a proxy without calls would hold what that took for as long as it is idle.
 */
import type { Clock } from "./clock.js";

export interface IdleCollectionDeps {
  readonly clock: Pick<Clock, "sleep">;
  /** The share of the time since it was asked last in which the event loop was busy, 0 to 1. */
  busyShare(): number;
  /** Collects all garbage: tens of milliseconds in which nothing else runs. */
  collect(): Promise<void>;
}

const lookAfterMs = 5000;
/** A process that is busier allocates, so V8 collects anyway, and the pause would be seen by calls. */
const busyShareMax = 0.05;
const looksMax = 12;

export class IdleCollection {
  readonly #deps: IdleCollectionDeps;
  #waiting: Promise<void> | undefined;
  #looksLeft = 0;

  constructor(deps: IdleCollectionDeps) {
    this.#deps = deps;
  }

  /** Collects once the process was idle for five seconds, or not at all if it is busy for a minute; resolves then. Never rejects. */
  soon(): Promise<void> {
    this.#looksLeft = looksMax;
    this.#waiting ??= this.#lookUntilIdle().finally(() => {
      this.#waiting = undefined;
    });
    return this.#waiting;
  }

  async #lookUntilIdle(): Promise<void> {
    const { clock, busyShare, collect } = this.#deps;
    busyShare();
    while (this.#looksLeft > 0) {
      this.#looksLeft -= 1;
      await clock.sleep(lookAfterMs);
      if (busyShare() > busyShareMax) continue;
      await collect().catch(() => {}); // a Node without inspector, or one that may not use it: the memory stays
      return;
    }
  }
}

/** The event loop of this process. Keeps no process alive. */
export function processIdleCollection(): IdleCollection {
  let last = performance.eventLoopUtilization();
  return new IdleCollection({
    clock: { sleep: (ms) => new Promise((resolve) => void setTimeout(resolve, ms).unref()) },
    busyShare() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
    collect: collectGarbage,
  });
}

/** Collects all garbage of this process and shrinks its heap. Fails if Node has no inspector or may not use it. */
export async function collectGarbage(): Promise<void> {
  const { Session } = await import("node:inspector"); // `gc()` of V8 leaves the space for young objects as large as it was
  const session = new Session();
  session.connect();
  try {
    await new Promise<void>((resolve, reject) =>
      session.post("HeapProfiler.collectGarbage", (error) => (error === null ? resolve() : reject(error))),
    );
  } finally {
    session.disconnect();
  }
}
