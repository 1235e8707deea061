/**
 * Helpers for waiting on an AbortSignal. They also handle a signal that has already aborted, which an event listener
 * alone would miss.
 */
import { setMaxListeners } from "node:events";

/**
 * Calls `listener` once when `signal` aborts, or at once if it has already. Returns a function that removes the
 * listener.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener();
    return () => {};
  }
  // addEventListener ignores a listener that is added twice, so each gets a function of its own
  const once = (): void => listener();
  // Node reports more than ten listeners as a leak, but hundreds of loops may end with one signal
  setMaxListeners(0, signal);
  signal.addEventListener("abort", once, { once: true });
  return () => signal.removeEventListener("abort", once);
}

/** Returns a promise that resolves when `signal` aborts and never rejects. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => void onAbort(signal, resolve));
}

/**
 * Resolves or rejects as `work` does, or resolves with undefined once `signal` aborts. It keeps no reference to the
 * result of `work`: Promise.race with a promise that stays open would keep every answer of a stream in memory until
 * that promise settles.
 */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const off = onAbort(signal, () => resolve(undefined));
    work.finally(() => off()).then(resolve, reject);
  });
}
