/** The state of something that a page loads, as a pure machine: nothing yet, a value, a stale value, or a failure. */

export interface Loaded<T> {
  /** The newest value. It stays while a newer one is loaded, and if loading fails. */
  readonly value: T | undefined;
  /** Why the last attempt failed. undefined: it did not fail. */
  readonly problem: Problem | undefined;
  /** When the value was received, in Unix milliseconds. 0: never. */
  readonly atMs: number;
}

export interface Problem {
  readonly code: string;
  readonly message: string;
}

export type LoadEvent<T> =
  | { readonly kind: "arrived"; readonly value: T; readonly nowMs: number }
  | { readonly kind: "failed"; readonly problem: Problem }
  | { readonly kind: "asked-else" };

export const nothingYet: Loaded<never> = { value: undefined, problem: undefined, atMs: 0 };

export function step<T>(state: Loaded<T>, event: LoadEvent<T>): Loaded<T> {
  switch (event.kind) {
    case "arrived":
      return { value: event.value, problem: undefined, atMs: event.nowMs };
    case "failed":
      return { ...state, problem: event.problem };
    case "asked-else": // the question has changed, so the former answer is dropped
      return nothingYet;
  }
}

/** The states that a page can show. A stale value is still shown, with a note beside it. */
export type Face = "loading" | "failed" | "empty" | "shown" | "stale";

export function faceOf<T>(state: Loaded<T>, isEmpty: (value: T) => boolean): Face {
  if (state.value === undefined) return state.problem === undefined ? "loading" : "failed";
  if (state.problem !== undefined) return "stale";
  return isEmpty(state.value) ? "empty" : "shown";
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Error) {
    const code = (error as { readonly code?: unknown }).code;
    return { code: typeof code === "string" ? code : "failed", message: error.message };
  }
  return { code: "failed", message: String(error) };
}
