/**
 * Edits that restore bytes from which parts were cut. An edit says that at offset `at` of the remaining bytes, `kept`
 * bytes stand in place of `original`.
 */
import { AshlarError } from "../../errors.js";

export interface Edit {
  readonly at: number;
  /** The number of remaining bytes that stand in place of `original`. */
  readonly kept: number;
  readonly original: Uint8Array;
}

/** Encodes a protobuf varint in as few bytes as possible. */
export function renderVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

const varintBytesMax = 10;

/**
 * Reads the varint at an offset. Returns its value and its end, or undefined if there is none or it exceeds 2^53 - 1.
 */
export function readVarint(
  bytes: Uint8Array,
  at: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let index = 0; index < varintBytesMax; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) return undefined;
    value += (byte % 128) * 128 ** index;
    if (byte < 128) return Number.isSafeInteger(value) ? { value, end: at + index + 1 } : undefined;
  }
  return undefined;
}

/** Encodes edits in their order: three numbers and the original bytes of each. */
export function encodeEdits(edits: readonly Edit[]): Uint8Array {
  const parts = edits.flatMap(({ at, kept, original }) => [...[at, kept, original.length].map(renderVarint), original]);
  return Buffer.concat(parts);
}

/** Puts the cut parts back. Fails with `invalid_record` if the edits do not belong to these bytes. */
export function restoreBytes(stored: Uint8Array, edits: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let [place, from] = [0, 0];
  const next = (): number => {
    const found = readVarint(edits, place);
    if (found === undefined) throw new AshlarError("invalid_record", "the private parts end too early");
    place = found.end;
    return found.value;
  };
  while (place < edits.length) {
    const [at, kept, length] = [next(), next(), next()];
    if (at < from || at + kept > stored.length || place + length > edits.length)
      throw new AshlarError("invalid_record", "the private parts are not of these bytes");
    parts.push(stored.subarray(from, at), edits.subarray(place, place + length));
    [from, place] = [at + kept, place + length];
  }
  return Buffer.concat([...parts, stored.subarray(from)]);
}
