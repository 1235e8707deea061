/** The encrypted private parts of entries and outcomes, and the data keys that encrypt them (decision 0064). */
import {
  JournalDataKey as DataKeyMessage,
  type JournalPrivate as PrivateMessage,
} from "../../../proto/gen/ashlar/v1/journal.js";
import { AshlarError } from "../../errors.js";
import { integer, label } from "../bounds.js";
import { decodeStrict, reading } from "../strict.js";

/** The private part that was cut out of the messages of an entry or an outcome. */
export interface PrivatePart {
  /** The token of the subject that the part is about (`subjectTokenOf`). */
  readonly subject: string;
  /** The id of the data key, 32 hexadecimal digits. */
  readonly keyId: string;
  /** The encrypted edits that restore the messages; empty: the messages are not stored. */
  readonly sealed: Uint8Array;
  /** The keyed digest of the complete messages. */
  readonly digest: Uint8Array;
}

/** A data key that is wrapped for its holder. */
export interface DataKeyRecord {
  readonly service: string;
  readonly subject: string;
  readonly keyId: string;
  readonly salt: Uint8Array;
  /** The holder's public key, as policy stated it. */
  readonly holder: string;
  readonly wrapped: Uint8Array;
  readonly timeMs: number;
}

const idBytes = 16;
const digestBytes = 32;
const recordBytesMax = 4096;
const what = "data key";

export const renderPrivate = ({ subject, keyId, sealed, digest }: PrivatePart): PrivateMessage => ({
  subject,
  keyId: Buffer.from(keyId, "hex"),
  sealed: Buffer.from(sealed),
  digest: Buffer.from(digest),
});

/** Fails with `invalid_record`. */
export function parsePrivate({ subject, keyId, sealed, digest }: PrivateMessage): PrivatePart {
  integer("private.digest.length", digest.length, digestBytes, digestBytes);
  return { subject: subjectOf(subject), keyId: idOf(keyId), sealed, digest };
}

function subjectOf(subject: string): string {
  if (/^[0-9a-f]{32}$/.test(subject)) return subject;
  throw new AshlarError("invalid_record", "subject is none");
}

function idOf(keyId: Buffer): string {
  integer("key_id.length", keyId.length, idBytes, idBytes);
  return keyId.toString("hex");
}

export const renderDataKey = ({ keyId, salt, wrapped, ...plain }: DataKeyRecord): DataKeyMessage => ({
  ...plain,
  keyId: Buffer.from(keyId, "hex"),
  salt: Buffer.from(salt),
  wrapped: Buffer.from(wrapped),
});

/** Returns the bytes of a data key as they are stored. */
export const encodeDataKey = (record: DataKeyRecord): Uint8Array =>
  DataKeyMessage.encode(renderDataKey(record)).finish();

/**
 * Parses a stored data key. It is not signed: a change to it only makes the key impossible to unwrap. Fails with
 * `invalid_record`.
 */
export function parseDataKey(bytes: Uint8Array): DataKeyRecord {
  const message = decodeStrict(DataKeyMessage, bytes, what, recordBytesMax);
  return reading(what, () => dataKeyOf(message));
}

/** Fails with `invalid_record`. */
export function dataKeyOf(message: DataKeyMessage): DataKeyRecord {
  integer("salt.length", message.salt.length, digestBytes, digestBytes);
  return {
    service: label("service", message.service),
    subject: subjectOf(message.subject),
    keyId: idOf(message.keyId),
    salt: message.salt,
    holder: message.holder,
    wrapped: message.wrapped,
    timeMs: integer("time_ms", message.timeMs, 0),
  };
}
