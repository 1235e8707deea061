/** A bundle from a file. */
import { open } from "node:fs/promises";
import { AshlarError } from "../core/errors.js";
import { type Bundle, bundleBytesMax, parseBundle } from "../core/wire/bundle.js";
import { fileReason } from "../runtime/file-reason.js";

export interface BundleFile {
  readonly bytes: Uint8Array;
  readonly bundle: Bundle;
}

/**
 * Reads and checks it. Fails with `invalid_argument` if it cannot be read, is too long or no bundle, and with
 * `invalid_record` if it does not hold; the message names the file.
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

/** One byte more than is allowed says enough: a file may be as long as somebody likes. */
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
