export const fieldFlag = {
  /** No hop may index the field (RFC 7541, 6.2.3). */
  neverIndexed: 1,
  /** The wire form of the value is Huffman-coded. */
  wireHuffman: 2,
  /** The owner of the connection removed the field: it is neither read nor sent on. */
  dropped: 4,
  /** The value has bytes of 0x80 and above. */
  obsText: 8,
  /** The value has a control character. */
  badValue: 16,
  /** The name is empty or has a byte that is not allowed in names. */
  badName: 32,
  /** The name has an underscore. */
  underscore: 64,
  /** Spaces or tabs that surrounded the value were removed. */
  stripped: 128,
} as const;

/** For each byte: the flags that a name or value containing it gets. */
const valueClass = new Uint8Array(256);
const nameClass = new Uint8Array(256).fill(fieldFlag.badName);
for (let byte = 0; byte < 256; byte++) {
  if (byte >= 0x80) valueClass[byte] = fieldFlag.obsText;
  else if ((byte < 0x20 && byte !== 9) || byte === 0x7f) valueClass[byte] = fieldFlag.badValue;
}
for (const character of "0123456789abcdefghijklmnopqrstuvwxyz-._") nameClass[character.charCodeAt(0)] = 0;
nameClass["_".charCodeAt(0)] = fieldFlag.underscore;

/** Like `classifyValue`, for a value that is known to be printable ASCII. */
export function classifyEnds(bytes: Uint8Array, start: number, length: number): number {
  return length > 0 && (bytes[start] === 32 || bytes[start + length - 1] === 32) ? fieldFlag.stripped : 0;
}

export function classifyValue(bytes: Uint8Array, start: number, length: number): number {
  if (length === 0) return 0;
  const end = start + length;
  let flags = 0;
  for (let i = start; i < end; i++) flags |= valueClass[bytes[i] as number] as number;
  const first = bytes[start] as number;
  const last = bytes[end - 1] as number;
  return first === 32 || first === 9 || last === 32 || last === 9 ? flags | fieldFlag.stripped : flags;
}

/** Returns where `bytes[start, end)` begins after leading spaces and tabs. */
export function skipSpaces(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes[at] === 32 || bytes[at] === 9)) at++;
  return at;
}

/** Returns where `bytes[start, end)` ends before trailing spaces and tabs. */
export function cutSpaces(bytes: Uint8Array, start: number, end: number): number {
  let at = end;
  while (at > start && (bytes[at - 1] === 32 || bytes[at - 1] === 9)) at--;
  return at;
}

export function classifyName(bytes: Uint8Array, start: number, length: number): number {
  const end = start + length;
  let flags = length === 0 ? fieldFlag.badName : 0;
  for (let i = start + (bytes[start] === 0x3a && length > 1 ? 1 : 0); i < end; i++) {
    flags |= nameClass[bytes[i] as number] as number;
  }
  return flags;
}

export function hashOf(seed: number, bytes: Uint8Array, start: number, length: number): number {
  let hash = seed ^ 0x811c9dc5;
  const end = start + length;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  hash ^= hash >>> 15;
  return hash === 0 ? 1 : hash;
}
