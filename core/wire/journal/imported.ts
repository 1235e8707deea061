/**
 * States when an imported message was first stored. A control plane signs this in a header beside the message: the
 * broker's own time is that of the import, when the certificate of the message's writer has already expired (decision
 * 0072).
 */
import { JournalImported as ImportedMessage } from "../../../proto/gen/ashlar/v1/journal.js";
import { type Digest, digestFromBytes, digestOf } from "../../digest.js";
import { AshlarError } from "../../errors.js";
import type { KeySet, Signer } from "../../signature.js";
import { integer, label } from "../bounds.js";
import { digestToBuffer, payloadBytesMax, type RecordCodec, signWith, verifyWith } from "../record-codec.js";
import { decodeStrict, reading } from "../strict.js";
import { linkOf, type SealedMessage } from "./seal.js";

/** The name of the NATS header. */
export const importedHeader = "Ashlar-Imported";

interface Imported {
  readonly service: string;
  readonly link: Digest;
  readonly storedMs: number;
}

const type = "ashlar-journal-imported";
const headerLengthMax = 4096;

const codec: RecordCodec<Imported> = {
  type,
  encode: ({ link, ...body }) => ImportedMessage.encode({ ...body, link: digestToBuffer(link) }).finish(),
  parse(payload) {
    const message = decodeStrict(ImportedMessage, payload, type, payloadBytesMax);
    return reading(type, () => ({
      service: label("service", message.service),
      link: digestFromBytes(message.link),
      storedMs: integer("stored_ms", message.storedMs, 0),
    }));
  },
};

/** Returns the header's value for a message that is stored at this sequence. */
export function signImported(
  service: string,
  message: SealedMessage & { readonly storedMs: number },
  mesh: string,
  signer: Signer,
): string {
  const body = { service, link: digestOf(linkOf(message)), storedMs: message.storedMs };
  return Buffer.from(signWith(codec, body, mesh, signer).bytes).toString("latin1");
}

/**
 * Returns when the message was first stored, in Unix milliseconds. Fails with `invalid_record` if the header is about
 * another message, journal or place, and with `unauthenticated` if its key is unknown.
 */
export function importedMs(
  header: string,
  service: string,
  message: SealedMessage,
  { mesh, keys }: { readonly mesh: string; readonly keys: KeySet },
): number {
  if (header.length > headerLengthMax)
    throw new AshlarError("limit", `${type}: ${header.length} bytes, at most ${headerLengthMax} are read`);
  const { body } = verifyWith(codec, new Uint8Array(Buffer.from(header, "latin1")), mesh, keys);
  if (body.service !== service || body.link !== digestOf(linkOf(message)))
    throw new AshlarError("invalid_record", `${type}: it is about another message`);
  return body.storedMs;
}

/** A message as it was read. Without its place it cannot be an imported one. */
export interface ReadMessage {
  readonly data: Uint8Array;
  readonly sequence?: number;
  readonly subject?: string;
  readonly origin?: { readonly subject: string } | undefined;
  header(name: string): string | undefined;
}

/**
 * Returns when an imported message was first stored, in Unix milliseconds, or undefined if it was not imported. Fails
 * as `importedMs` does.
 */
export function firstStoredMs(
  message: ReadMessage,
  service: string,
  statement: string,
  trust: Parameters<typeof importedMs>[3],
): number | undefined {
  const { data, sequence, subject = "", origin } = message;
  const imported = message.header(importedHeader);
  if (imported === undefined) return undefined;
  if (sequence === undefined) throw new AshlarError("invalid_record", `${type}: its place in the journal is not known`);
  return importedMs(imported, service, { sequence, subject: origin?.subject ?? subject, statement, data }, trust);
}
