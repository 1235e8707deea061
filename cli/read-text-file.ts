import { readFile } from "node:fs/promises";
import { AshlarError } from "../core/errors.js";
import { fileReason } from "../runtime/file-reason.js";

const fileBytesMax = 64 * 1024;

/** Reads the file that a flag names. Fails with `invalid_argument` if it is empty, too large, or no UTF-8. */
export async function readTextFile(flag: string, path: string): Promise<string> {
  try {
    const bytes = await readFile(path);
    if (bytes.length === 0) throw new Error("it is empty"); // the control plane treats an empty text as absent
    if (bytes.length <= fileBytesMax) return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new AshlarError("invalid_argument", `${flag}: cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
  throw new AshlarError("invalid_argument", `${flag}: ${path} has more than ${fileBytesMax} bytes`);
}
