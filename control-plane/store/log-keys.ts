import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Signed } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";

/**
 * The current keys, and the former ones. A record that a former key signed counts only as an ancestor of one that a
 * current key signed.
 */
export interface LogKeys {
  readonly current: KeySet;
  readonly former: KeySet;
}

export const noKeys: LogKeys = { current: new Map(), former: new Map() };

/** A record that verifies under the current or the former keys. */
export interface Judged<Body> {
  readonly signed: Signed<Body>;
  readonly current: boolean;
  /** True if a valid record of another log names it. */
  readonly endorsed?: boolean;
}

/** Returns the record that `verify` gives under the keys that verify it; "unknown-key"; or why it is refused. */
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

/** The result of offering a record. */
export type Offered<Body> =
  | { readonly kind: "adopted"; readonly records: readonly Signed<Body>[] }
  /** Its signature holds, and it is not, or not yet, part of the history. */
  | { readonly kind: "kept" }
  /** A key signed it that is no longer trusted, and no valid record leads to it. */
  | { readonly kind: "former" }
  | { readonly kind: "known" }
  /** No trusted key signed it: it is judged again when the keys change. */
  | { readonly kind: "unknown-key" }
  | { readonly kind: "refused"; readonly why: string };
