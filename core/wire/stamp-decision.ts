const idBytes = 12;
const varintBytesMax = 8; // enough for milliseconds until long after the year 10000

/**
 * Returns the bytes of a decision with this id and time. `rest` has all other fields, as `encodeDecision` encodes them
 * with an empty id and time 0. Protobuf accepts fields in any order.
 */
export function stampDecision(rest: Uint8Array, id: string, timeMs: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(2 + idBytes + 1 + varintBytesMax + rest.length);
  bytes[0] = (1 << 3) | 2;
  bytes[1] = bytes.write(id, 2, idBytes, "hex");
  let at = 2 + idBytes;
  bytes[at++] = 10 << 3;
  let left = timeMs;
  for (; left > 0x7f; left = Math.floor(left / 0x80)) bytes[at++] = (left % 0x80) | 0x80;
  bytes[at++] = left;
  bytes.set(rest, at);
  return bytes.subarray(0, at + rest.length);
}
