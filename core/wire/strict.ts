/** Strict reading of protobuf: bounded, complete, and no field or value that this version does not know (I6). */
import { AshlarError, isAshlarError, messageOf } from "../errors.js";

interface Decoder<Message> {
  decode(bytes: Uint8Array): Message;
}

const depthMax = 32;
/**
 * The most fields of a message. A field of two bytes can become an object of a hundred, so a bound on bytes alone
 * bounds neither memory nor time.
 */
export const fieldsCountMax = 262_144;

/**
 * Decodes `bytes` and refuses fields that this version does not know, anywhere inside.
 * Fails with `invalid_record` and a message that begins with `what`.
 */
export function decodeStrict<Message extends object>(
  decoder: Decoder<Message>,
  bytes: Uint8Array,
  what: string,
  bytesMax: number,
): Message {
  if (bytes.length > bytesMax) {
    throw new AshlarError("limit", `${what}: ${bytes.length} bytes, at most ${bytesMax} are read`);
  }
  boundFields(bytes, what);
  let message: Message;
  try {
    message = decoder.decode(bytes);
  } catch (cause) {
    throw new AshlarError("invalid_record", `${what}: does not parse: ${messageOf(cause)}`, { cause });
  }
  refuseUnknownFields(message, what);
  return message;
}

/** Fails with `limit` if a message has more top-level fields than are read. */
export function boundFields(bytes: Uint8Array, what: string): void {
  if (hasMoreFields(bytes, fieldsCountMax))
    throw new AshlarError("limit", `${what}: more than ${fieldsCountMax} fields, at most so many are read`);
}

/**
 * Returns whether a protobuf message has more than `max` top-level fields, without decoding any. In malformed bytes the
 * fields before the fault count.
 */
export function hasMoreFields(bytes: Uint8Array, max: number): boolean {
  let count = 0;
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80 || scale > 2 ** 63) break;
    }
    return value;
  };
  while (at < bytes.length) {
    count += 1;
    if (count > max) return true;
    const wireType = varint() & 7;
    const value = wireType === 0 || wireType === 2 ? varint() : 0;
    if (wireType === 1) at += 8;
    else if (wireType === 2) at += value;
    else if (wireType === 5) at += 4;
  }
  return false;
}

/** Fails with `invalid_record` if a decoded message has a field that this version does not know, at any depth. */
export function refuseUnknownFields(message: object, what: string): void {
  if (!isKnown(message, 0)) refuseUnknown(message, what, "", 0);
}

/**
 * Returns whether a message has no unknown field. It builds no paths, because nearly every message is known and each
 * path would be a new text.
 */
function isKnown(message: object, depth: number): boolean {
  if (depth > depthMax) return false;
  for (const name in message) {
    const field: unknown = (message as Readonly<Record<string, unknown>>)[name];
    if (typeof field !== "object" || field === null || field instanceof Uint8Array) continue;
    if (name === "_unknownFields" ? Object.keys(field).length > 0 : !isKnownField(field, depth + 1)) return false;
  }
  return true;
}

function isKnownField(field: object, depth: number): boolean {
  if (!Array.isArray(field)) return isKnown(field, depth);
  return field.every((item) => typeof item !== "object" || item === null || isKnownItem(item, depth + 1));
}

const isKnownItem = (item: object, depth: number): boolean => item instanceof Uint8Array || isKnownField(item, depth);

/** Refuses unknown fields at any depth of a decoded message. */
function refuseUnknown(value: unknown, what: string, path: string, depth: number): void {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  if (depth > depthMax) throw new AshlarError("invalid_record", `${what}: nested deeper than ${depthMax}`);
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) refuseUnknown(item, what, `${path}[${index}]`, depth + 1);
    return;
  }
  for (const [name, field] of Object.entries(value)) {
    if (name === "_unknownFields") {
      const unknown = Object.keys(field ?? {});
      if (unknown.length > 0) {
        const tag = Number(unknown[0]);
        const place = path === "" ? "at the top" : `in ${path}`;
        throw new AshlarError(
          "invalid_record",
          `${what}: unknown field ${tag >>> 3} ${place}; it was written by a newer version of Ashlar`,
        );
      }
    } else {
      refuseUnknown(field, what, path === "" ? name : `${path}.${name}`, depth + 1);
    }
  }
}

/** Runs `read`, and turns whatever it throws into `invalid_record` with a message that begins with `what`. */
export function reading<Result>(what: string, read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    if (isAshlarError(cause) && cause.message.startsWith(what)) throw cause;
    throw new AshlarError("invalid_record", `${what}: ${messageOf(cause)}`, { cause });
  }
}
