/** Fields that entries and outcomes share. */

import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { JournalConfirmation, JournalField } from "../../../proto/gen/ashlar/v1/journal.js";
import { type Digest, digestFromBytes } from "../../digest.js";
import { AshlarError } from "../../errors.js";
import { boundedList, integer } from "../bounds.js";
import { asBuffer, digestToBuffer } from "../record-codec.js";

/** A field of metadata as on the wire. */
export interface Field {
  readonly name: string;
  readonly value: Uint8Array;
}

/** States that the stream acknowledged an earlier record of the same writer. */
export interface Confirmation {
  readonly sequence: number;
  readonly digest: Digest;
}

/** The most bytes of a record without its headers, which fits into a proxy's NATS message. */
export const journalRecordBytesMax = 512 * 1024;
/** The most confirmations in a record; the others wait for the next record. */
export const confirmationsMax = 64;
const fieldsMax = 256;
const fieldNameBytesMax = 256;

export const renderFields = (fields: readonly Field[]): JournalField[] =>
  fields.map(({ name, value }) => ({ name, value: asBuffer(value) }));

export function parseFields(what: string, fields: readonly JournalField[]): readonly Field[] {
  return boundedList(what, fields, fieldsMax).map(({ name, value }) => {
    if (name === "" || name.length > fieldNameBytesMax || name !== name.toLowerCase())
      throw new AshlarError("invalid_record", `${what} has a name that is none`);
    return { name, value };
  });
}

export const renderConfirmations = (confirms: readonly Confirmation[]): JournalConfirmation[] =>
  confirms.map(({ sequence, digest }) => ({ sequence, digest: digestToBuffer(digest) }));

export function parseConfirmations(
  confirms: readonly JournalConfirmation[],
  most = confirmationsMax,
): readonly Confirmation[] {
  return boundedList("confirms", confirms, most).map(({ sequence, digest }) => ({
    sequence: integer("confirms.sequence", sequence, 1),
    digest: digestFromBytes(digest),
  }));
}

let recordWriter = new BinaryWriter();

/**
 * Returns the bytes of the record that `write` writes. All records share one writer, so that its buffer need not grow
 * again for each.
 */
export function encodeRecord(write: (writer: BinaryWriter) => BinaryWriter): Uint8Array {
  const writer = recordWriter;
  recordWriter = new BinaryWriter(); // a fresh writer, in case `write` fails halfway
  const bytes = write(writer).finish();
  recordWriter = writer;
  return bytes;
}

/** Returns `code` if it is a gRPC status code. */
export const grpcCode = (code: number): number => integer("code", code, 0, 16);
