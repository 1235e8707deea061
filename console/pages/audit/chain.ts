/** Follows the links of the audit log: each entry names the digest of the exact bytes of the entry before it. */

export interface Chain {
  readonly entries: number;
  readonly last: number;
  /** The digest of the last entry in lower-case hexadecimal. Empty: no entry was read. */
  readonly lastDigest: string;
  /** The first twenty problems, one line each. */
  readonly problems: readonly string[];
}

export const emptyChain: Chain = { entries: 0, last: 0, lastDigest: "", problems: [] };

const problemsMax = 20;

export interface Link {
  readonly sequence: number;
  /** The digest of the previous entry in lower-case hexadecimal. Empty: this is the first entry. */
  readonly previous: string;
}

/** Adds the next entry, whose bytes have `digest`. `link` is undefined if the bytes are no entry. */
export function addLink(chain: Chain, link: Link | undefined, digest: string): Chain {
  const problem = link === undefined ? `what stands after entry ${chain.last} is no entry` : problemOf(chain, link);
  return {
    entries: chain.entries + 1,
    last: link?.sequence ?? chain.last,
    lastDigest: digest,
    problems: problem === "" || chain.problems.length >= problemsMax ? chain.problems : [...chain.problems, problem],
  };
}

function problemOf({ last, lastDigest, entries }: Chain, { sequence, previous }: Link): string {
  const expected = last + 1;
  if (sequence < expected) return `entry ${sequence} was moved or inserted: it stands after entry ${last}`;
  if (sequence > expected && entries > 0) return `entries ${expected} to ${sequence - 1} are missing`;
  if (sequence > expected) return `the log begins with entry ${sequence}`;
  return previous === lastDigest
    ? ""
    : `entry ${last} or ${sequence} was changed: ${sequence} does not name the one before it`;
}

/**
 * Reads the number and the link of an entry (ashlar.v1.AuditEntry, fields 1 and 2). undefined: the bytes are no entry.
 */
export function readLink(bytes: Uint8Array): Link | undefined {
  let place = 0;
  let sequence = 0;
  let previous = "";
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 10; shift++) {
      const byte = bytes[place++];
      if (byte === undefined) return Number.NaN;
      value += (byte & 0x7f) * 2 ** (7 * shift);
      if (byte < 0x80) return value;
    }
    return Number.NaN;
  };
  while (place < bytes.length) {
    const key = varint();
    const [field, kind] = [Math.floor(key / 8), key % 8];
    if (kind === 0) {
      const value = varint();
      if (field === 1) sequence = value;
    } else if (kind === 2) {
      const length = varint();
      if (!(place + length <= bytes.length)) return undefined;
      if (field === 2) previous = toHex(bytes.subarray(place, place + length));
      place += length;
    } else return undefined;
  }
  return Number.isSafeInteger(sequence) && sequence > 0 ? { sequence, previous } : undefined;
}

export const toHex = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Decodes a bytes field of proto3 JSON (base64). */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}
