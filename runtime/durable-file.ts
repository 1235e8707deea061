/** Small files that are either the old or the new content after a crash, never half of one. */
import { randomUUID } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AshlarError } from "../core/errors.js";
import { diskError } from "./disk-fault.js";
import { fileReason } from "./file-reason.js";
import { makeFolders } from "./make-folders.js";

/** Makes `folder` (and what is above it), readable by its owner alone. */
export function makePrivateFolder(folder: string): void {
  makeFolders(folder, 0o700);
}

/** Text, bytes, or text in parts that are written one after the other. */
export type FileContent = string | Uint8Array | readonly string[];

const partsOf = (content: FileContent): readonly (string | Uint8Array)[] =>
  typeof content === "string" || content instanceof Uint8Array ? [content] : content;

/**
 * Replaces `path` by `content`: a new file beside it, fsync, rename, fsync of the folder. Once it
 * returns, the content survives power loss as far as the disk obeys fsync. Mode 0600 unless given.
 * Fails with `unavailable`, saying what is wrong with the disk; what was there before then stays.
 */
export function writeDurably(path: string, content: FileContent, mode = 0o600): void {
  const beside = `${path}.new`;
  try {
    rmSync(beside, { force: true }); // a left-over might have another mode
    writeNew(beside, content, mode);
    renameSync(beside, path);
    const folder = openSync(dirname(path), "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch (cause) {
    try {
      rmSync(beside, { force: true }); // half a file must not occupy the missing space
    } catch {} // the first failure is the one to tell
    throw diskError("write", path, cause);
  }
}

function writeNew(path: string, content: FileContent, mode: number): void {
  const file = openSync(path, "wx", mode);
  try {
    for (const part of partsOf(content)) {
      const bytes = typeof part === "string" ? Buffer.from(part) : part;
      for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The same without holding up the event loop; several at once for one file do not get in each other's way. */
export async function replaceDurably(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const beside = join(dirname(path), `.${basename(path)}.${randomUUID()}${temporarySuffix}`);
  try {
    const handle = await open(beside, "wx", mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    await rm(beside, { force: true }).catch(() => {}); // the first failure is the one to tell
    throw diskError("write", path, cause);
  }
}

/** How the names of files end that `replaceDurably` did not come to rename before a crash. */
export const temporarySuffix = ".tmp";

/** Syncs a folder, so that a file created or renamed in it is found after power loss. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The content of `path`, or undefined if there is no such file. */
export function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new AshlarError("unavailable", `cannot read ${path}: ${fileReason(error)}`, { cause: error });
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
    throw new AshlarError("invalid_record", `${path} is not JSON`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new AshlarError("invalid_record", `${path} is not a JSON object`);
  }
  return value as Record<string, unknown>;
}
