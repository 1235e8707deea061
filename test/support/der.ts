/** Writes DER (X.690) node by node, even what no library would write: for certificates that must be refused. */

type Part = Uint8Array | readonly Uint8Array[];

function header(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.of(tag, length);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.of(tag, 0x80 | bytes.length, ...bytes);
}

/** Returns one node: `tag`, the length, and the parts one after the other. */
export function derNode(tag: number, ...parts: readonly Part[]): Buffer {
  const content = Buffer.concat(parts.flatMap((part) => (part instanceof Uint8Array ? [part] : [...part])));
  return Buffer.concat([header(tag, content.length), content]);
}

export const derSequence = (...parts: readonly Part[]): Buffer => derNode(0x30, ...parts);
export const derOctets = (bytes: Uint8Array): Buffer => derNode(0x04, bytes);
export const derTrue = Buffer.of(0x01, 0x01, 0xff);

/** Returns a non-negative integer from its bytes, most significant byte first. */
export function derInteger(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const trimmed = bytes.subarray(start);
  return derNode(0x02, (trimmed[0] ?? 0) >= 0x80 || trimmed.length === 0 ? [Buffer.of(0), trimmed] : trimmed);
}

/** Returns a named bit list: the bits by number, without trailing zeros. */
export function derNamedBits(bits: readonly number[]): Buffer {
  const last = Math.max(...bits, -1);
  const bytes = Buffer.alloc(Math.ceil((last + 1) / 8));
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return derNode(0x03, Buffer.of(bytes.length * 8 - (last + 1)), bytes);
}

/** Returns a bit string of whole bytes. */
export const derBitString = (bytes: Uint8Array): Buffer => derNode(0x03, Buffer.of(0), bytes);

/** Returns an object identifier from its dotted form. */
export function derOid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((value) => {
    const groups = [value & 0x7f];
    for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift(0x80 | (left & 0x7f));
    return groups;
  });
  return derNode(0x06, Buffer.from(bytes));
}

/** Returns UTCTime until 2049, then GeneralizedTime (RFC 5280 4.1.2.5), rounded down to seconds. */
export function derTime(timeMs: number): Buffer {
  const text = new Date(timeMs)
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  const isShort = text < "2050";
  return derNode(isShort ? 0x17 : 0x18, Buffer.from(isShort ? text.slice(2) : text, "latin1"));
}

/** Returns a distinguished name of organization and common name. An empty part is left out. */
export function derName(organization: string, commonName: string): Buffer {
  const attribute = (oid: string, text: string) => {
    if (Buffer.byteLength(text) > 64) throw new Error(`longer than 64 bytes: ${text}`);
    return text === "" ? [] : [derNode(0x31, derSequence(derOid(oid), derNode(0x0c, Buffer.from(text))))];
  };
  return derSequence(attribute("2.5.4.10", organization), attribute("2.5.4.3", commonName));
}
