/** Loads data for a page, again whenever needed, but never while the page is hidden. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Loaded, nothingYet, problemOf, step } from "./loaded.js";

export interface LoadOptions {
  /** Loads again after this many milliseconds. Left out: only when asked. */
  readonly everyMs?: number;
  /** Loads again whenever one of these values changes. */
  readonly when?: readonly unknown[];
}

/**
 * Loads with `load`, again whenever `question` changes; the answer to the former question is dropped. Returns the
 * state, and a function that loads again now.
 */
export function useLoaded<T>(
  question: string,
  load: (signal: AbortSignal) => Promise<T>,
  { everyMs, when = [] }: LoadOptions = {},
): readonly [Loaded<T>, () => void] {
  const [state, setState] = useState<Loaded<T>>(nothingYet);
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const asked = useRef(question);

  useEffect(() => {
    if (asked.current !== question) {
      asked.current = question;
      setState((before) => step(before, { kind: "asked-else" }));
    }
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const once = async (): Promise<void> => {
      if (document.visibilityState === "visible") {
        try {
          const value = await latest.current(ended.signal);
          if (ended.signal.aborted) return;
          setState((before) => step(before, { kind: "arrived", value, nowMs: Date.now() }));
        } catch (error) {
          if (ended.signal.aborted) return;
          setState((before) => step(before, { kind: "failed", problem: problemOf(error) }));
        }
      }
      if (everyMs !== undefined && !ended.signal.aborted) timer = setTimeout(once, everyMs);
    };
    void once();
    const looked = (): void => {
      if (document.visibilityState !== "visible" || everyMs === undefined) return;
      clearTimeout(timer);
      void once();
    };
    document.addEventListener("visibilitychange", looked);
    return () => {
      ended.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", looked);
    };
  }, [question, turn, everyMs, ...when]);

  return [state, useCallback(() => setTurn((before) => before + 1), [])];
}
