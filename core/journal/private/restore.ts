/** Puts back what was cut out of a write, for who has the holder's key. */
import type { KeyObject } from "node:crypto";
import type { DataKeyRecord, PrivatePart } from "../../wire/journal/private.js";
import { restoreBytes } from "./edits.js";
import { openPart, type PartPlace, unwrapKey } from "./keys.js";

/** The private parts of one write. */
export interface SealedParts {
  /** The nonce of its entry. */
  readonly nonce: Uint8Array;
  readonly request: PrivatePart | undefined;
  readonly response: PrivatePart | undefined;
  /** undefined: its subject was shredded. */
  readonly key: DataKeyRecord | undefined;
}

/**
 * Returns the messages as they were, or that the subject was shredded. Fails with `invalid_record` if this is not the
 * holder's key, or something was changed.
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
