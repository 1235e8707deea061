/** Restores the private parts of writes for an operator who has the holder's key; without the key they are left out. */
import type { KeyObject } from "node:crypto";
import { holderOf, readHolderKey } from "../../core/journal/private/keys.js";
import { restorePart } from "../../core/journal/private/restore.js";
import { dataKeyOf, parsePrivate } from "../../core/wire/journal/private.js";
import type { ReplayJournalResponse } from "../../proto/gen/ashlar/v1/admin.js";
import type { JournalSealedParts } from "../../proto/gen/ashlar/v1/journal.js";
import { readTextFile } from "../read-text-file.js";

/** What an operator is told about the private fields of a write. */
export type PrivateState = "none" | "restored" | "withheld" | "shredded";

export interface Messages {
  readonly request: Buffer;
  readonly response: Buffer;
}

/** Reads the holder's key of `--holder-key`. Fails with `invalid_argument`. */
export async function readHolder(path: string | undefined): Promise<KeyObject | undefined> {
  return path === undefined ? undefined : readHolderKey(await readTextFile("--holder-key", path));
}

/** Restores the private parts of a write. Fails with `invalid_record` if this is not the holder's key. */
export function readPrivate<Given extends Messages>(
  given: Given,
  parts: JournalSealedParts | undefined,
  holder: KeyObject | undefined,
): { readonly state: PrivateState; readonly messages: Messages } {
  if (parts === undefined) return { state: "none", messages: given };
  const sealed = {
    nonce: parts.nonce,
    request: parts.request && parsePrivate(parts.request),
    response: parts.response && parsePrivate(parts.response),
    key: parts.key && dataKeyOf(parts.key),
  };
  if (sealed.key === undefined) return { state: "shredded", messages: given };
  if (holder === undefined) return { state: "withheld", messages: given };
  const request = restorePart(given.request, "request", sealed, holder);
  const response = restorePart(given.response, "response", sealed, holder);
  if (request === "shredded" || response === "shredded") return { state: "shredded", messages: given };
  return { state: "restored", messages: { request: Buffer.from(request), response: Buffer.from(response) } };
}

/** Writes whose requests could not be restored, so that they are not sent. */
export class NotRestored {
  count = 0;
  /** The sequences of the first thousand writes that were left out. */
  readonly entries: number[] = [];

  add(sequence: number): void {
    this.count += 1;
    if (this.entries.length < 1000) this.entries.push(sequence);
  }
}

/**
 * Restores the writes to replay, as far as the key allows. A write whose request cannot be restored is left out and
 * counted; so are writes for another holder, whom policy named before or named later.
 */
export async function* restored(
  messages: AsyncIterable<ReplayJournalResponse>,
  holder: KeyObject | undefined,
  notRestored: NotRestored,
): AsyncGenerator<ReplayJournalResponse> {
  const own = holder && holderOf(holder);
  for await (const part of messages) {
    const { message } = part;
    if (message?.$case !== "write" || message.value.parts === undefined) {
      yield part;
      continue;
    }
    const { value } = message;
    const { parts } = value;
    const of = parts?.key?.holder;
    // base64 has several spellings
    const isOwn = of === undefined || Buffer.from(of, "base64").toString("base64") === own;
    const { state, messages: read } = readPrivate(value, parts, isOwn ? holder : undefined);
    if (state !== "restored" && parts?.request !== undefined) {
      notRestored.add(value.sequence);
      continue;
    }
    // a response that is not restored cannot be compared, and the digest of one that is not stored is keyed
    const isWhole = parts?.response === undefined || (state === "restored" && value.responseKept);
    const compared = isWhole ? {} : { responseKept: false, responseDigest: Buffer.alloc(0) };
    yield { ...part, message: { $case: "write", value: { ...value, ...read, ...compared } } };
  }
}
