/** Puts the private fields back into a journaled write, for those who have the holder's key. */
import type { KeyObject } from "node:crypto";
import type { DataKeyRecord, PrivatePart } from "../../wire/journal/private.js";
import { restoreBytes } from "./edits.js";
import { openPart, type PartPlace, unwrapKey } from "./keys.js";

/** The encrypted parts of one write. */
export interface SealedParts {
  /** The nonce of the write's entry. */
  readonly nonce: Uint8Array;
  readonly request: PrivatePart | undefined;
  readonly response: PrivatePart | undefined;
  /** The subject's data key; undefined: the subject was shredded. */
  readonly key: DataKeyRecord | undefined;
}

/**
 * Returns the original messages, or that the subject was shredded. Fails with `invalid_record` if the key is not the
 * holder's, or if something was changed.
 */
export function restorePart(
  stored: Uint8Array,
  part: PartPlace["part"],
  parts: SealedParts,
  holder: KeyObject,
): Uint8Array | "shredded" {
  const cut = parts[part];
  if (cut === undefined || cut.sealed.length === 0) return stored;
  const { key, nonce } = parts;
  if (key === undefined || key.keyId !== cut.keyId) return "shredded";
  const { service, keyId } = key;
  const dataKey = unwrapKey(key.wrapped, holder, { service, keyId });
  return restoreBytes(stored, openPart(cut.sealed, dataKey, { service, keyId, part, nonce }));
}
