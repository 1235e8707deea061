/** Random bytes for what is named in great numbers. Many are drawn at a time: a draw costs more than the bytes. */
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
