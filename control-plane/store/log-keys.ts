import type { KeySet } from "../../core/signature.js";

/** Keys that sign now, and keys that did: what the latter signed counts only as an ancestor of what the former signed. */
export interface LogKeys {
  readonly current: KeySet;
  readonly former: KeySet;
}

export const noKeys: LogKeys = { current: new Map(), former: new Map() };
