import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Signed } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";

/** Keys that sign now, and keys that did: what the latter signed counts only as an ancestor of what the former signed. */
export interface LogKeys {
  readonly current: KeySet;
  readonly former: KeySet;
}

export const noKeys: LogKeys = { current: new Map(), former: new Map() };

/** A record that holds under the current keys or the former ones. */
export interface Judged<Body> {
  readonly signed: Signed<Body>;
  readonly current: boolean;
  /** A record of another log that holds names it. */
  readonly endorsed?: boolean;
}

/** The record that `verify` gives under the keys that hold for it; "unknown-key", or why it is refused. */
export function judgeUnder<Body>(
  { current, former }: LogKeys,
  verify: (keys: KeySet) => Signed<Body>,
): Judged<Body> | string {
  for (const keys of [current, former]) {
    try {
      return { signed: verify(keys), current: keys === current };
    } catch (error) {
      if (!isAshlarError(error, "unauthenticated")) return messageOf(error);
    }
  }
  return "unknown-key";
}

/** What came of offering a record. */
export type Offered<Body> =
  | { readonly kind: "adopted"; readonly records: readonly Signed<Body>[] }
  /** Its signature holds, but it is not (or not yet) part of the history. */
  | { readonly kind: "kept" }
  /** A key signed it that is trusted no more, and nothing that holds leads to it. */
  | { readonly kind: "former" }
  | { readonly kind: "known" }
  /** No trusted key signed it: it is judged again when the keys change. */
  | { readonly kind: "unknown-key" }
  | { readonly kind: "refused"; readonly why: string };
