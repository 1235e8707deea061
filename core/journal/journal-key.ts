/**
 * How journal records are addressed: the key in their subjects, and the message ids by which the stream rejects
 * duplicates.
 */
import { hash } from "node:crypto";

/** The scope within which an idempotency key is unique: one caller, one end user and one method. */
export interface KeyScope {
  readonly caller: string;
  readonly user: string;
  readonly method: string;
  /** The idempotency key; not empty. */
  readonly key: string;
}

/**
 * Returns the digest of several texts, each preceded by its length, so that no two lists of texts have the same bytes.
 */
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

/** Returns the id of an idempotency key within its scope, 64 hexadecimal digits. */
export function keyIdOf({ caller, user, method, key }: KeyScope): string {
  return digestOfTexts("key", caller, user, method, key);
}

/**
 * Returns the token that stands for a subject of private fields in NATS subjects and records: 32 hexadecimal digits.
 */
export const subjectTokenOf = (service: string, subject: string): string =>
  digestOfTexts("subject", service, subject).slice(0, 32);

/**
 * Returns the last token of the NATS subjects of an entry, its outcome and its resolution. Entries of one order key
 * share a token that no other entry has. Entries without an order key are spread over 4096 tokens by their idempotency
 * key, so that few records have to be read to find an outcome. `keyId`: `keyIdOf` of the entry, if the caller has it.
 */
export function journalKey(
  entry: KeyScope & { readonly service: string; readonly order: string },
  keyId?: string,
): string {
  if (entry.order !== "") return `o${digestOfTexts("order", entry.service, entry.order).slice(0, 32)}`;
  return entry.key === "" ? "u" : `k${(keyId || keyIdOf(entry)).slice(0, 3)}`;
}

/**
 * Returns the message id (`Nats-Msg-Id`) of an entry with an idempotency key. The stream stores one message per id and
 * answers every later writer with its sequence. `afterVoid`: the sequence of the void entry under the id before; 0:
 * none. Everyone who repeats a key therefore walks the same chain of entries, of which at most the last is valid. If
 * the id covered what its writer expected, two of them could be valid.
 */
export function entryMessageId(keyId: string, afterVoid: number): string {
  return afterVoid === 0 ? keyId : `${keyId}.${afterVoid}`;
}

/** Returns the message id of an entry without an idempotency key; in mode "before" it covers the expected head. */
export const nonceMessageId = (nonce: Uint8Array, expected?: number): string =>
  `n${Buffer.from(nonce).toString("hex")}${expected === undefined ? "" : `.${expected}`}`;

/**
 * Returns the message id of an outcome, or of the messages of a stream. It is random, because only the writer has to
 * know it: another proxy could take an id that it can guess, and the stream would then drop the true record as a
 * duplicate.
 */
export const outcomeMessageId = (nonce: Uint8Array): string => `o${Buffer.from(nonce).toString("hex")}`;

/** Returns the last token of the NATS subject of records with messages of a stream. No entry has such a token. */
export const messagesKey = (stream: Uint8Array): string => `m${Buffer.from(stream).toString("hex").slice(0, 3)}`;
export const isMessagesKey = (key: string): boolean => key.startsWith("m");
