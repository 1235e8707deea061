/**
 * What was taken out of bytes, and where: with it the bytes are as they were. An edit says that at `at` of the bytes that stay,
 * `kept` bytes stand in the place of `original`.
 */
import { AshlarError } from "../../errors.js";

export interface Edit {
  readonly at: number;
  /** How many bytes stand there now. */
  readonly kept: number;
  readonly original: Uint8Array;
}

/** A varint of protobuf, as few bytes as it needs. */
export function renderVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

const varintBytesMax = 10;

/** The varint at a place and where it ends; undefined: there is none, or it is above 2^53 - 1. */
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

/** The edits as bytes: three numbers and the original of each, in their order. */
export function encodeEdits(edits: readonly Edit[]): Uint8Array {
  const parts = edits.flatMap(({ at, kept, original }) => [...[at, kept, original.length].map(renderVarint), original]);
  return Buffer.concat(parts);
}

/** Puts what was taken out back into its place. Fails with `invalid_record` if the edits are not of these bytes. */
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
