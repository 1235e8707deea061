/** The text form of NATS keys: a prefix, the bytes of the key and a checksum, in base 32 (RFC 4648 without padding). */

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The first byte of private keys ("P…"). */
export const privatePrefix = 0x78;

/** Encodes a key with the prefix byte `prefix`. */
export function encodeNkey(prefix: number, key: Uint8Array): string {
  const body = Buffer.concat([Uint8Array.of(prefix), key]);
  const sum = checksum(body);
  return encodeBase32(Buffer.concat([body, Uint8Array.of(sum & 0xff, sum >> 8)]));
}

/**
 * Decodes a key's text to bytes, prefix and checksum included. The caller has already checked the letters and the
 * checksum.
 */
export function decodeNkey(text: string): Buffer {
  const bytes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const letter of text) {
    held = ((held << 5) | alphabet.indexOf(letter)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
  }
  return Buffer.from(bytes);
}

function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += alphabet[(held >> (bits - 5)) & 0x1f];
  }
  return bits === 0 ? text : text + alphabet[(held << (5 - bits)) & 0x1f];
}

/** Computes the CRC-16 with the polynomial of XMODEM. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) sum = ((sum << 1) ^ (sum & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return sum;
}
