/** Files that survive power loss: content and folder entry are both synced. */
import { randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Syncs a folder, so that a file created or renamed in it is found after power loss. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes `file` as a whole: readers see the old content or the new, also after kill -9 or power loss. */
export async function writeDurably(file: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  const folder = dirname(file);
  const next = join(folder, `.${basename(file)}.${randomUUID()}.tmp`);
  const handle = await open(next, "wx", mode);
  try {
    await handle.writeFile(data);
    await handle.sync();
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await rename(next, file);
  await syncFolder(folder);
}
