/**
 * A file with two slots on disk, kept open and written in place, which takes one write that reaches the disk. Replacing
 * a file would take an open, a write, an fsync, a rename and the fsync of the folder. It is for state that must be on
 * disk before a proxy acts on news.
 */
import { constants, fstatSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { AshlarError } from "../../core/errors.js";
import { diskError } from "../../runtime/disk-fault.js";
import { syncFolder } from "../../runtime/durable-file.js";
import { encodeSlot, newestSlot, slotContentBytesMax, slotFileBytes, slotOffset } from "./slots.js";

export interface SlotFile {
  /** The content of the last complete write. undefined: there is none. */
  readonly newest: Uint8Array | undefined;
  /**
   * Writes `content`, which is on disk when this resolves. A crash before that leaves either the new or the former
   * content. One call at a time. Fails with `limit` if the content does not fit, and with `unavailable`; the former
   * content then stays.
   */
  write(content: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** O_DSYNC makes a write include its fdatasync, which saves one trip to the thread pool. It is used on Linux only. */
const writeThrough = process.platform === "linux" ? constants.O_DSYNC : 0;

/** Opens the file, or creates it with room for both slots. Fails with `unavailable`. */
export async function openSlotFile(path: string): Promise<SlotFile> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDWR | constants.O_CREAT | writeThrough, 0o600);
    const bytes = await readWhole(handle);
    if (bytes.length < slotFileBytes) await makeRoom(handle, bytes.length, path);
    return new DiskSlots(path, handle, bytes);
  } catch (cause) {
    await handle?.close().catch(() => {});
    throw diskError("use", path, cause);
  }
}

async function readWhole(handle: FileHandle): Promise<Uint8Array> {
  const bytes = Buffer.alloc(slotFileBytes);
  for (let done = 0; ; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, done);
    done += bytesRead;
    if (bytesRead === 0 || done === bytes.length) return new Uint8Array(bytes.subarray(0, done));
  }
}

/** Writes zeros, so that later writes change only content and their fdatasync writes no metadata. */
async function makeRoom(handle: FileHandle, from: number, path: string): Promise<void> {
  await writeAll(handle, Buffer.alloc(slotFileBytes - from), from);
  await handle.sync();
  await syncFolder(dirname(path)); // the file's name must survive a crash
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

class DiskSlots implements SlotFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  #newest: Uint8Array | undefined;
  #serial: number;

  constructor(path: string, handle: FileHandle, bytes: Uint8Array) {
    const slot = newestSlot(bytes);
    this.#path = path;
    this.#handle = handle;
    this.#newest = slot?.content;
    this.#serial = slot?.serial ?? 0;
  }

  get newest(): Uint8Array | undefined {
    return this.#newest;
  }

  async write(content: Uint8Array): Promise<void> {
    if (content.length > slotContentBytesMax)
      throw new AshlarError("limit", `${this.#path}: ${content.length} bytes, at most ${slotContentBytesMax} fit`);
    const serial = this.#serial + 1; // the slot of the last complete content stays untouched until this one is on disk
    try {
      if (fstatSync(this.#handle.fd).nlink === 0) throw new Error("the file was removed");
      await writeAll(this.#handle, encodeSlot({ serial, content }), slotOffset(serial));
      if (writeThrough === 0) await this.#handle.datasync();
    } catch (cause) {
      throw diskError("write", this.#path, cause);
    }
    this.#serial = serial;
    this.#newest = content;
  }

  async close(): Promise<void> {
    await this.#handle.close().catch(() => {});
  }
}
