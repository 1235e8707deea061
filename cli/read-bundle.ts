/** Reads a bundle from a file. */
import { open } from "node:fs/promises";
import { AshlarError } from "../core/errors.js";
import { type Bundle, bundleBytesMax, parseBundle } from "../core/wire/bundle.js";
import { fileReason } from "../runtime/file-reason.js";

export interface BundleFile {
  readonly bytes: Uint8Array;
  readonly bundle: Bundle;
}

/**
 * Reads and verifies a bundle. Fails with `invalid_argument` if the file cannot be read, is too long or is no bundle,
 * and with `invalid_record` if it does not verify; the message names the file.
 */
export async function readBundle(path: string): Promise<BundleFile> {
  const bytes = await readBounded(path);
  try {
    return { bytes, bundle: parseBundle(bytes) };
  } catch (cause) {
    if (!(cause instanceof AshlarError)) throw cause;
    throw new AshlarError(cause.code === "limit" ? "invalid_argument" : cause.code, `${path}: ${cause.message}`, {
      cause,
    });
  }
}

/** Reads at most one byte more than is allowed, because a file may be of any length. */
async function readBounded(path: string): Promise<Uint8Array> {
  const buffer = Buffer.alloc(bundleBytesMax + 1);
  let length = 0;
  try {
    const file = await open(path, "r");
    try {
      for (;;) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length);
        length += bytesRead;
        if (bytesRead === 0 || length === buffer.length) break;
      }
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new AshlarError("invalid_argument", `cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
  return new Uint8Array(buffer.subarray(0, length));
}
