/**
 * The format of a file with proxy state: a line with a checksum, then JSON. A damaged file is told apart from a missing
 * one.
 */
import { digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";

const magic = "ashlar-state-1";

/** Returns the bytes of a state file. */
export function encodeStateFile(content: object): Uint8Array {
  const body = Buffer.from(JSON.stringify(content));
  return new Uint8Array(Buffer.concat([Buffer.from(`${magic} ${digestOf(body)}\n`), body]));
}

/** Returns the content of a state file, whose fields are not checked. Fails with `invalid_record` on any damage. */
export function parseStateFile(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = buffer.indexOf(0x0a);
  const body = buffer.subarray(end + 1);
  if (end < 0 || buffer.toString("latin1", 0, end) !== `${magic} ${digestOf(body)}`)
    throw new AshlarError("invalid_record", "the file is damaged: its checksum does not hold");
  return parseObject(body);
}

/** Returns the object that a JSON text contains. Fails with `invalid_record`. */
export function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const content: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
  if (typeof content !== "object" || content === null)
    throw new AshlarError("invalid_record", "the file does not hold what it should");
  return content as Readonly<Record<string, unknown>>;
}

/** Returns the strings of a list. Other items are left out. */
export function stringsOf(value: unknown, countMax: number): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value.filter((item): item is string => typeof item === "string").slice(0, countMax);
}
