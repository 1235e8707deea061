/**
 * The record that a log is about to append, on disk before it is sent: a crash in between must not leave proxies with a
 * record that nobody else has. The file is kept open and written in place, because an activating operator waits for it:
 * one write and one fdatasync instead of a new file, its fsync, a rename and the folder's fsync.
 */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { diskError } from "../../runtime/disk-fault.js";
import { syncFolder } from "../../runtime/durable-file.js";
import { encodeFileLog, parseFileLog } from "./file-copy.js";

export interface IntentFile {
  /** The record that was written and not cleared; undefined if there is none or it is incomplete. */
  readonly pending: Uint8Array | undefined;
  /**
   * Writes a record, which is on disk when this resolves, in place of the pending one. One call at a time. Fails with
   * `unavailable`.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Clears the pending record. A power loss may bring it back; if it was appended or overtaken, it is then refused. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

const roomBytes = 16 * 1024;
const headBytes = 8;
/** The first characters of every record. Earlier versions wrote only the record into the file. */
const recordStart = "eyJ";

/** Opens the file, or creates it. */
export async function openIntentFile(file: string): Promise<IntentFile> {
  const content = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  const isBare = content?.toString("latin1", 0, recordStart.length) === recordStart;
  const pending = isBare ? content : content && parseFileLog(content).records[0];
  const size = content?.length ?? 0;
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, content === undefined ? "wx+" : "r+", 0o600);
    // from now on only the content changes
    if (size < roomBytes && !isBare) await writeAll(handle, Buffer.alloc(roomBytes - size), size);
    await handle.sync();
    await syncFolder(dirname(file));
    return new OpenIntent(file, handle, pending && new Uint8Array(pending));
  } catch (cause) {
    await handle?.close().catch(() => {});
    throw diskError("open", file, cause);
  }
}

class OpenIntent implements IntentFile {
  readonly #file: string;
  readonly #handle: FileHandle;
  #pending: Uint8Array | undefined;

  constructor(file: string, handle: FileHandle, pending: Uint8Array | undefined) {
    this.#file = file;
    this.#handle = handle;
    this.#pending = pending;
  }

  get pending(): Uint8Array | undefined {
    return this.#pending;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#pending = bytes;
    try {
      await writeAll(this.#handle, encodeFileLog([bytes]), 0);
      await this.#handle.datasync();
    } catch (cause) {
      throw diskError("write", this.#file, cause);
    }
  }

  async clear(): Promise<void> {
    if (this.#pending === undefined) return;
    try {
      await writeAll(this.#handle, Buffer.alloc(headBytes), 0);
    } catch (cause) {
      throw diskError("write", this.#file, cause);
    }
    this.#pending = undefined;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}
