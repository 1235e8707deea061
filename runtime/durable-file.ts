/** Writes small files so that after a crash they have either the old or the new content, never a part of it. */
import { randomUUID } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AshlarError } from "../core/errors.js";
import { diskError } from "./disk-fault.js";
import { fileReason } from "./file-reason.js";
import { makeFolders } from "./make-folders.js";

/** Creates `folder` and its missing parents, readable by their owner alone. */
export function makePrivateFolder(folder: string): void {
  makeFolders(folder, 0o700);
}

/** A text, bytes, or a text in parts that are written one after the other. */
export type FileContent = string | Uint8Array | readonly string[];

const partsOf = (content: FileContent): readonly (string | Uint8Array)[] =>
  typeof content === "string" || content instanceof Uint8Array ? [content] : content;

/**
 * Replaces the content of `path`: writes a new file beside it, syncs it, renames it, and syncs the folder. When it
 * returns, the content survives a power loss as far as the disk obeys fsync. The mode is 0600 unless given. Fails with
 * `unavailable` and says what is wrong with the disk; the old content then remains.
 */
export function writeDurably(path: string, content: FileContent, mode = 0o600): void {
  const beside = `${path}.new`;
  try {
    rmSync(beside, { force: true }); // a left-over file might have another mode
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
      rmSync(beside, { force: true }); // a part of a file must not occupy the space that is missing
    } catch {} // the first failure is reported
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

/** Like `writeDurably`, without blocking the event loop. Several calls for one file may run at once. */
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
    await rm(beside, { force: true }).catch(() => {}); // the first failure is reported
    throw diskError("write", path, cause);
  }
}

/** The end of the names of temporary files that `replaceDurably` did not rename before a crash. */
export const temporarySuffix = ".tmp";

/** Syncs a folder, so that a file that was created or renamed in it survives a power loss. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Returns the content of `path`, or undefined if the file does not exist. */
export function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new AshlarError("unavailable", `cannot read ${path}: ${fileReason(error)}`, { cause: error });
  }
}

/**
 * Returns the JSON object in `path`, or undefined if the file does not exist. Fails with `invalid_record` if the
 * content is no JSON object.
 */
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
