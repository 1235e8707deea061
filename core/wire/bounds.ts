/**
 * Checks of single fields that arrive on the wire. All fail with `invalid_record` and a message that names the field.
 */
import { AshlarError } from "../errors.js";
import { isLabel, isWorkload } from "../identity.js";
import { meshUnitName } from "../model.js";

/** The most bytes, in UTF-8, of a message that a person wrote, or of a reason. */
export const messageBytesMax = 4096;

function refuse(field: string, why: string): never {
  throw new AshlarError("invalid_record", `${field} ${why}`);
}

/** Returns `text` if it has at most `bytesMax` bytes. */
export function boundedText(field: string, text: string, bytesMax: number): string {
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) refuse(field, `has ${bytes} bytes, at most ${bytesMax} are allowed`);
  return text;
}

/** Returns the beginning of `text` that has at most `bytesMax` bytes in UTF-8, in whole characters. */
export function clipBytes(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return text;
  return new TextDecoder().decode(bytes.subarray(0, bytesMax), { stream: true }); // what a cut left of a character is not decoded
}

/** Returns `text` if it has 1 to `bytesMax` printable ASCII characters without spaces. */
export function token(field: string, text: string, bytesMax: number): string {
  if (!/^[\x21-\x7e]+$/.test(text)) refuse(field, "is empty or has characters that are not allowed");
  return boundedText(field, text, bytesMax);
}

/** Returns `items` if there are at most `countMax`. */
export function boundedList<Item>(field: string, items: readonly Item[], countMax: number): readonly Item[] {
  if (items.length > countMax) refuse(field, `has ${items.length} items, at most ${countMax} are allowed`);
  return items;
}

/** Returns `items` if their keys ascend (by UTF-16 code unit) without repetition. */
export function ascending<Item>(field: string, items: readonly Item[], keyOf: (item: Item) => string): readonly Item[] {
  for (let i = 1; i < items.length; i += 1) {
    const [before, item] = [items[i - 1], items[i]];
    if (before !== undefined && item !== undefined && keyOf(before) >= keyOf(item)) {
      refuse(field, `is not sorted without repetition at ${JSON.stringify(keyOf(item).slice(0, 80))}`);
    }
  }
  return items;
}

/** Returns `value` if it is a whole number from `min` to `max`. */
export function integer(field: string, value: number, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    refuse(field, `is ${value}, not within ${min}..${max}`);
  return value;
}

/** Returns the link to the record before, which must be present from number 2 on and absent in number 1. */
export function link<Value>(field: string, number: number, value: Value | undefined): Value | undefined {
  if ((number === 1) !== (value === undefined)) {
    refuse(field, number === 1 ? "is set, although nothing comes before" : "is missing");
  }
  return value;
}

/** Returns `text` if it is the name of a service: an RFC 1123 label. */
export function label(field: string, text: string): string {
  if (!isLabel(text)) refuse(field, `is not an RFC 1123 label: ${JSON.stringify(text.slice(0, 80))}`);
  return text;
}

/** Returns `text` if it is the name of a service or a gateway. */
export function workload(field: string, text: string): string {
  if (!isWorkload(text)) refuse(field, `is no name of a service or gateway: ${JSON.stringify(text.slice(0, 80))}`);
  return text;
}

/** Returns `text` if it is the name of a unit: a service, a gateway, or "@mesh". */
export function unitName(field: string, text: string): string {
  return text === meshUnitName ? text : workload(field, text);
}

/** Returns whether `text` may be a proxy's id, which occurs in NATS subjects and file names. */
export function isProxyId(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(text);
}

/** Returns `text` if it is "HOST:PORT" with a host name, IPv4 address or [IPv6 address]. */
export function hostAndPort(field: string, text: string): string {
  const match = /^(?:[A-Za-z0-9]([A-Za-z0-9.-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]):([1-9][0-9]{0,4})$/.exec(
    text,
  );
  if (match === null || Number(match[2]) > 65535)
    refuse(field, `is not HOST:PORT: ${JSON.stringify(text.slice(0, 80))}`);
  return text;
}
