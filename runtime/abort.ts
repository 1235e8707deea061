/** Waiting for an AbortSignal: a signal that has aborted already counts, which an event listener alone would miss. */
import { setMaxListeners } from "node:events";

/** Calls `listener` once when `signal` aborts, at once if it has. Returns a function that takes the listener back. */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener();
    return () => {};
  }
  const once = (): void => listener(); // a listener that is given twice is called twice
  setMaxListeners(0, signal); // Node takes more than ten for a leak, but a process may have hundreds of loops that end with it
  signal.addEventListener("abort", once, { once: true });
  return () => signal.removeEventListener("abort", once);
}

/** Resolves when `signal` aborts; never rejects. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => void onAbort(signal, resolve));
}

/**
 * Resolves or rejects as `work` does, or resolves with undefined once `signal` aborts. Nothing of `work` is held afterwards:
 * Promise.race beside a promise that stays open would hold every answer of a stream until that promise settles.
 */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const off = onAbort(signal, () => resolve(undefined));
    work.finally(() => off()).then(resolve, reject);
  });
}
