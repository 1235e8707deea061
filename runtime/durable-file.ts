/** Small files that are either the old or the new content after a crash, never half of one. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { AshlarError, messageOf } from "../core/errors.js";

/** Makes `folder` (and what is above it), readable by its owner alone. */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/**
 * Replaces `path` by `content`: a new file beside it, fsync, rename, fsync of the folder. Once it
 * returns, the content survives power loss as far as the disk obeys fsync. Mode 0600 unless given.
 */
export function writeDurably(path: string, content: string | Uint8Array, mode = 0o600): void {
  const beside = `${path}.new`;
  rmSync(beside, { force: true }); // a left-over might have another mode
  const file = openSync(beside, "wx", mode);
  try {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(beside, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** The content of `path`, or undefined if there is no such file. */
export function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new AshlarError("unavailable", `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** The JSON object in `path`, or undefined if there is no such file; fails with `invalid_record` if it is none. */
export function readJsonIfThere(path: string): Readonly<Record<string, unknown>> | undefined {
  const bytes = readIfThere(path);
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new AshlarError("invalid_record", `${path} is not JSON: ${messageOf(cause)}`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new AshlarError("invalid_record", `${path} is not a JSON object`);
  }
  return value as Record<string, unknown>;
}
