import { AshlarError, messageOf } from "../core/errors.js";
import { writeDurably } from "../runtime/durable-file.js";

/**
 * Replaces the file that the user named, or leaves it unchanged on failure. Fails with `invalid_argument` and names the
 * path.
 */
export function writeFileWhole(path: string, content: string | Uint8Array, mode: number): void {
  try {
    writeDurably(path, content, mode);
  } catch (cause) {
    throw new AshlarError("invalid_argument", messageOf(cause), { cause });
  }
}
