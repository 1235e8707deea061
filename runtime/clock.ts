import { onAbort } from "./abort.js";

/** Time as a dependency, so that tests need not wait for it. */
export interface Clock {
  /** Returns the Unix time in milliseconds. */
  nowMs(): number;
  /** Returns the milliseconds of a clock that never jumps. */
  monotonicMs(): number;
  /** Resolves after `ms`, or as soon as `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        off?.();
        resolve();
      };
      const timer = setTimeout(done, ms);
      const off = signal && onAbort(signal, done);
    }),
};
