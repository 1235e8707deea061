/** Checks of single fields that arrive on the wire; all fail with `invalid_record` that names the field. */
import { AshlarError } from "../errors.js";
import { isLabel, isWorkload } from "../identity.js";
import { meshUnitName } from "../model.js";

/** A message of a person or a reason, in bytes of UTF-8. */
export const messageBytesMax = 4096;

function refuse(field: string, why: string): never {
  throw new AshlarError("invalid_record", `${field} ${why}`);
}

/** A text of at most `bytesMax` bytes. */
export function boundedText(field: string, text: string, bytesMax: number): string {
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) refuse(field, `has ${bytes} bytes, at most ${bytesMax} are allowed`);
  return text;
}

/** A text of 1 to `bytesMax` printable ASCII characters without spaces. */
export function token(field: string, text: string, bytesMax: number): string {
  if (!/^[\x21-\x7e]+$/.test(text)) refuse(field, "is empty or has characters that are not allowed");
  return boundedText(field, text, bytesMax);
}

/** A list of at most `countMax` items. */
export function boundedList<Item>(field: string, items: readonly Item[], countMax: number): readonly Item[] {
  if (items.length > countMax) refuse(field, `has ${items.length} items, at most ${countMax} are allowed`);
  return items;
}

/** A list whose keys ascend (by UTF-16 code unit) without repetition. */
export function ascending<Item>(field: string, items: readonly Item[], keyOf: (item: Item) => string): readonly Item[] {
  for (let i = 1; i < items.length; i += 1) {
    const [before, item] = [items[i - 1], items[i]];
    if (before !== undefined && item !== undefined && keyOf(before) >= keyOf(item)) {
      refuse(field, `is not sorted without repetition at ${JSON.stringify(keyOf(item).slice(0, 80))}`);
    }
  }
  return items;
}

/** A whole number from `min` to `max`. */
export function integer(field: string, value: number, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    refuse(field, `is ${value}, not within ${min}..${max}`);
  return value;
}

/** A link to what came before: there from number 2 on, not before. */
export function link<Value>(field: string, number: number, value: Value | undefined): Value | undefined {
  if ((number === 1) !== (value === undefined)) {
    refuse(field, number === 1 ? "is set, although nothing comes before" : "is missing");
  }
  return value;
}

/** The name of a service: an RFC 1123 label. */
export function label(field: string, text: string): string {
  if (!isLabel(text)) refuse(field, `is not an RFC 1123 label: ${JSON.stringify(text.slice(0, 80))}`);
  return text;
}

/** The name of a service or a gateway. */
export function workload(field: string, text: string): string {
  if (!isWorkload(text)) refuse(field, `is no name of a service or gateway: ${JSON.stringify(text.slice(0, 80))}`);
  return text;
}

/** The name of a unit: of a service or a gateway, or "@mesh". */
export function unitName(field: string, text: string): string {
  return text === meshUnitName ? text : workload(field, text);
}

/** Returns whether `text` may be a proxy's id: it stands in subjects and file names. */
export function isProxyId(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(text);
}

/** "HOST:PORT" with a host name, IPv4 address or [IPv6 address]. */
export function hostAndPort(field: string, text: string): string {
  const match = /^(?:[A-Za-z0-9]([A-Za-z0-9.-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]):([1-9][0-9]{0,4})$/.exec(
    text,
  );
  if (match === null || Number(match[2]) > 65535)
    refuse(field, `is not HOST:PORT: ${JSON.stringify(text.slice(0, 80))}`);
  return text;
}
