/**
 * Random bytes for things that are named in great numbers. They are drawn in large blocks, because a draw costs more
 * than its bytes.
 */
import { randomBytes } from "node:crypto";

const poolBytes = 4096;
let pool = Buffer.alloc(0);
let used = 0;

/** Returns so many bytes of cryptographic randomness, which nobody else gets. */
export function pooledRandomBytes(bytes: number): Buffer {
  if (bytes > poolBytes) return randomBytes(bytes);
  if (used + bytes > pool.length) {
    pool = randomBytes(poolBytes);
    used = 0;
  }
  used += bytes;
  return pool.subarray(used - bytes, used);
}
