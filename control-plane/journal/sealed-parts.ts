/** Collects what the holder of the key needs to read the private parts of a write. */
import type { PrivatePart } from "../../core/wire/journal/private.js";
import { parseDataKey, renderDataKey, renderPrivate } from "../../core/wire/journal/private.js";
import { journalKeySubject, journalKeysStream } from "../../core/wire/subjects.js";
import type { JournalSealedParts } from "../../proto/gen/ashlar/v1/journal.js";
import type { Bus } from "../../runtime/bus.js";

export interface PrivateParts {
  /** The nonce of the entry. */
  readonly nonce: Uint8Array;
  readonly request: PrivatePart | undefined;
  readonly response: PrivatePart | undefined;
}

/**
 * Returns the private parts of a write; undefined: it has none. If `key` is missing, its subject was shredded. Fails
 * with `unavailable`.
 */
export async function sealedPartsOf(
  bus: Pick<Bus, "leaderGet">,
  service: string,
  { nonce, request, response }: PrivateParts,
): Promise<Omit<JournalSealedParts, "_unknownFields"> | undefined> {
  const one = request ?? response;
  if (one === undefined) return undefined;
  const lastOf = journalKeySubject(service, one.subject, one.keyId);
  const found = await bus.leaderGet(journalKeysStream(service), { lastOf });
  return {
    nonce: Buffer.from(nonce),
    request: request && renderPrivate(request),
    response: response && renderPrivate(response),
    key: found && renderDataKey(parseDataKey(found.data)),
  };
}
