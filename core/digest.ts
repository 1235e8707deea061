import { hash } from "node:crypto";
import { AshlarError } from "./errors.js";

declare const brand: unique symbol;

/** A SHA-256 in lower-case hexadecimal, 64 characters. */
export type Digest = string & { readonly [brand]: "Digest" };

/** The digest that revision 1 names as its parent: 64 zeros. */
export const zeroDigest = "0".repeat(64) as Digest;

/** Returns the SHA-256 of `bytes`. */
export function digestOf(bytes: Uint8Array): Digest {
  return hash("sha256", bytes, "hex") as Digest;
}

/** Parses 64 lower-case hexadecimal digits; fails with `invalid_record`. */
export function parseDigest(text: string): Digest {
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new AshlarError("invalid_record", `not a SHA-256 digest: ${JSON.stringify(text.slice(0, 80))}`);
  }
  return text as Digest;
}

/** Returns the digest that `bytes` are; fails with `invalid_record` if they are not 32 bytes. */
export function digestFromBytes(bytes: Uint8Array): Digest {
  if (bytes.length !== 32) throw new AshlarError("invalid_record", `a digest has 32 bytes, not ${bytes.length}`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex") as Digest;
}

/** Returns the 32 bytes of a digest. */
export function digestToBytes(digest: Digest): Uint8Array {
  return new Uint8Array(Buffer.from(digest, "hex"));
}
