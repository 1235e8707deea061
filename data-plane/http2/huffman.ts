/**
 * The Huffman code of HPACK (RFC 7541, 5.2 and appendix B). The code is canonical, so its code lengths define it.
 * Decoding looks up 12 bits at a time and gets one or two symbols per look-up.
 */

/** Code lengths as runs: "13 23 28*7" is 13, 23, then seven times 28; for symbols 0 to 255 and EOS. */
const lengthRuns =
  "13 23 28*7 24 30 28*2 30 28*8 30 28*9 6 10*2 12 13 6 8 11 10*2 8 11 8 6*3 5*3 6*7 7 8 15 6 12 10 13 6 7*22 8 7 8 " +
  "13 19 13 14 6 15 5 6 5 6 5 6*3 5 7*2 6*3 5 6 7 6 5*2 6 7*5 15 11 14 13 28 20 22 20*2 22*3 23 22 23*5 24 23 24*2 " +
  "22 23 24 23*4 21 22 23 22 23*2 24 22 21 20 22*2 23*2 21 23 22*2 24 21 22 23*2 21*2 22 21 23 22 23*2 20 22*3 23 " +
  "22*2 23 26*2 20 19 22 23 22 25 26*3 27*2 26 24 25 19 21 26 27*2 26 27 24 21*2 26*2 28 27*3 20 24 20 21 22 21*2 " +
  "23 22*2 25*2 24*2 26 23 26 27 26*2 27*5 28 27*5 26 30";

const symbols = 257;
const codeLength = new Uint8Array(symbols);
const code = new Uint32Array(symbols);
/** For each length: the first code, the number of codes, and where their symbols begin in `bySize`. */
const firstCode = new Uint32Array(32);
const codeCount = new Uint16Array(32);
const firstPlace = new Uint16Array(32);
const bySize = new Uint16Array(symbols);

let symbol = 0;
for (const run of lengthRuns.split(" ")) {
  const [length, times] = run.split("*");
  for (let n = Number(times ?? 1); n > 0; n--) codeLength[symbol++] = Number(length);
}
let nextCode = 0;
let nextPlace = 0;
for (let length = 1; length <= 30; length++) {
  nextCode *= 2;
  firstCode[length] = nextCode;
  firstPlace[length] = nextPlace;
  for (let s = 0; s < symbols; s++) {
    if (codeLength[s] !== length) continue;
    code[s] = nextCode++;
    bySize[nextPlace++] = s;
  }
  codeCount[length] = nextPlace - (firstPlace[length] as number);
}

const peekBits = 12;
/** symbol 1 | symbol 2 << 8 | bits of symbol 1 << 16 | bits of both << 20 | symbols << 24; 0: a longer code. */
const pairs = new Uint32Array(1 << peekBits);
function shortSymbol(bits: number, count: number): number {
  for (let length = 5; length <= count; length++) {
    const candidate = bits >>> (count - length);
    const offset = candidate - (firstCode[length] as number);
    if (offset >= 0 && offset < (codeCount[length] as number))
      return bySize[(firstPlace[length] as number) + offset] as number;
  }
  return -1;
}
for (let bits = 0; bits < 1 << peekBits; bits++) {
  const one = shortSymbol(bits, peekBits);
  if (one < 0) continue;
  const length = codeLength[one] as number;
  const rest = peekBits - length;
  const two = shortSymbol(bits & ((1 << rest) - 1), rest);
  const both = two < 0 ? length : length + (codeLength[two] as number);
  pairs[bits] = one | (two < 0 ? 0 : two << 8) | (length << 16) | (both << 20) | ((two < 0 ? 1 : 2) << 24);
}

/**
 * Whether the last decoded string has a symbol with a code of more than 12 bits. Shorter codes stand only for
 * characters that are allowed in values.
 */
export let hasLongCode = false;

/**
 * Decodes `source[start, end)` into `target` from `at` on and returns where it ended, or -1 if the bytes
 * are no valid encoding (EOS in it, or padding that is longer than 7 bits or not the start of EOS).
 * `target` must have room for 8/5 of the source's length.
 */
export function decodeHuffman(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  // Reads 12 bits at a bit position each time; in the usual case no branch depends on the data.
  const bitsEnd = (end - start) * 8;
  let bit = 0;
  let to = at;
  hasLongCode = false;
  while (bit + peekBits <= bitsEnd) {
    const from = start + (bit >>> 3);
    // The third byte may lie beyond the end; its bits are shifted out.
    const held =
      ((source[from] as number) << 16) |
      ((source[from + 1] as number) << 8) |
      (from + 2 < end ? (source[from + 2] as number) : 0);
    const entry = pairs[(held >>> (peekBits - (bit & 7))) & 0xfff] as number;
    if (entry !== 0) {
      target[to] = entry & 0xff;
      target[to + 1] = (entry >>> 8) & 0xff;
      to += entry >>> 24;
      bit += (entry >>> 20) & 0xf;
      continue;
    }
    const length = longCodeLength(source, start, bit, bitsEnd);
    if (length === 0) return -1;
    hasLongCode = true;
    target[to++] = longSymbol;
    bit += length;
  }
  const count = bitsEnd - bit;
  if (count === 0) return to;
  // The remaining bits lie in the last two bytes.
  const held = (end - 2 < start ? 0 : (source[end - 2] as number) << 8) | (source[end - 1] as number);
  return decodeRest(held & ((1 << count) - 1), count, target, to);
}

function bitAt(source: Uint8Array, start: number, bit: number): number {
  return ((source[start + (bit >>> 3)] as number) >>> (7 - (bit & 7))) & 1;
}

let longSymbol = 0;
/**
 * Returns the length of the code of more than 12 bits that starts at `bit`, and sets `longSymbol` to its symbol.
 * Returns 0 if there is none or it is EOS.
 */
function longCodeLength(source: Uint8Array, start: number, bit: number, bitsEnd: number): number {
  let value = 0;
  for (let length = 1; length <= 30 && bit + length <= bitsEnd; length++) {
    value = (value << 1) | bitAt(source, start, bit + length - 1);
    const offset = value - (firstCode[length] as number);
    if (offset < 0 || offset >= (codeCount[length] as number)) continue;
    longSymbol = bySize[(firstPlace[length] as number) + offset] as number;
    return longSymbol === 256 ? 0 : length;
  }
  return 0;
}

/** Decodes the last bits, fewer than 12, which end in padding. Returns where it ended in `target`, or -1. */
function decodeRest(held: number, bits: number, target: Uint8Array, at: number): number {
  let count = bits;
  let to = at;
  for (;;) {
    // The missing bits are ones, as in padding.
    const filled = ((held << (peekBits - count)) | ((1 << (peekBits - count)) - 1)) & 0xfff;
    const entry = pairs[filled] as number;
    const length = (entry >>> 16) & 0xf;
    if (entry === 0 || length > count) return count < 8 && (held & ((1 << count) - 1)) === (1 << count) - 1 ? to : -1;
    target[to++] = entry & 0xff;
    count -= length;
  }
}

/** Returns how many bytes the Huffman encoding of `source[start, end)` takes. */
export function huffmanLength(source: Uint8Array, start: number, end: number): number {
  let bits = 0;
  for (let i = start; i < end; i++) bits += codeLength[source[i] as number] as number;
  return (bits + 7) >>> 3;
}

/** Encodes `source[start, end)` into `target` from `at` on and returns where it ended. */
export function encodeHuffman(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  let held = 0; // fewer than 8 bits between symbols
  let count = 0;
  let to = at;
  for (let i = start; i < end; i++) {
    const s = source[i] as number;
    let length = codeLength[s] as number;
    let value = code[s] as number;
    if (length > 24) {
      // A long code is written in two steps, so that `held` stays within 32 bits.
      held = (held << 8) | (value >>> (length - 8));
      length -= 8;
      value &= (1 << length) - 1;
      target[to++] = (held >>> count) & 0xff;
    }
    held = (held << length) | value;
    count += length;
    while (count >= 8) {
      count -= 8;
      target[to++] = (held >>> count) & 0xff;
    }
  }
  if (count > 0) target[to++] = ((held << (8 - count)) | ((1 << (8 - count)) - 1)) & 0xff;
  return to;
}
