/** How journal records are addressed: the key in subjects, and the message ids by which the stream refuses a second copy. */
import { hash } from "node:crypto";

/** What is idempotent together: one key of one caller and end user for one method. */
export interface KeyScope {
  readonly caller: string;
  readonly user: string;
  readonly method: string;
  /** The idempotency key; not empty. */
  readonly key: string;
}

/** Each text with its length before it, so that no two lists of texts have the same bytes. */
function digestOfTexts(domain: string, ...texts: readonly string[]): string {
  const parts = [Buffer.from(`ashlar-journal-${domain}-v1\0`)];
  for (const text of texts) {
    const bytes = Buffer.from(text, "utf8");
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return hash("sha256", Buffer.concat(parts), "hex");
}

/** The id of an idempotency key within its scope, 64 hexadecimal digits. */
export function keyIdOf({ caller, user, method, key }: KeyScope): string {
  return digestOfTexts("key", caller, user, method, key);
}

/** Names a subject of private fields in subjects and records: 32 hexadecimal digits. */
export const subjectTokenOf = (service: string, subject: string): string =>
  digestOfTexts("subject", service, subject).slice(0, 32);

/**
 * The last token of the subjects of an entry, its outcome and its resolution. Entries of one order key have the same, and
 * nobody else's; those without an order key are spread over 4096 by their idempotency key, so that an outcome is found
 * by reading few others. `keyId`: `keyIdOf` of the entry, where it is known.
 */
export function journalKey(
  entry: KeyScope & { readonly service: string; readonly order: string },
  keyId?: string,
): string {
  if (entry.order !== "") return `o${digestOfTexts("order", entry.service, entry.order).slice(0, 32)}`;
  return entry.key === "" ? "u" : `k${(keyId || keyIdOf(entry)).slice(0, 3)}`;
}

/**
 * The message id (`Nats-Msg-Id`) of a keyed entry. The stream stores one message of an id and gives every later writer
 * its sequence. `afterVoid`: the sequence of the void entry with the id before; 0: none. So all who repeat a key walk
 * the same row of entries, of which at most the last is valid: an id that covered what its writer expected would let
 * two of them be.
 */
export function entryMessageId(keyId: string, afterVoid: number): string {
  return afterVoid === 0 ? keyId : `${keyId}.${afterVoid}`;
}

/** The message id of an entry without a key; of mode "before", with what it expects. */
export const nonceMessageId = (nonce: Uint8Array, expected?: number): string =>
  `n${Buffer.from(nonce).toString("hex")}${expected === undefined ? "" : `.${expected}`}`;

/**
 * The message id of an outcome, or of messages of a stream. Random, since the writer alone has to know it: an id that can be
 * guessed can be taken by another proxy beforehand, and the stream would drop the true record for a second copy.
 */
export const outcomeMessageId = (nonce: Uint8Array): string => `o${Buffer.from(nonce).toString("hex")}`;

/** The last token of the subject of records with messages of a stream. No entry has it. */
export const messagesKey = (stream: Uint8Array): string => `m${Buffer.from(stream).toString("hex").slice(0, 3)}`;
export const isMessagesKey = (key: string): boolean => key.startsWith("m");
