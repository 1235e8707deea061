/**
 * Files that a proxy finds again after a crash. Each is replaced as a whole, or has two slots. It is on disk when
 * `write` resolves.
 */
import { mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { AshlarError, messageOf } from "../../core/errors.js";
import { isDiskFull } from "../../runtime/disk-fault.js";
import { replaceDurably, temporarySuffix } from "../../runtime/durable-file.js";
import { openSlotFile, type SlotFile } from "./slot-file.js";

export interface StateFolder {
  /**
   * Returns the file's bytes, or undefined if there is none. Fails with `unavailable`, or with `limit` above 16 MiB.
   */
  read(name: string): Promise<Uint8Array | undefined>;
  /**
   * Replaces the file: after any crash it holds either the old or the new bytes. Fails with `unavailable`. `urgent`
   * writes may use the space that is reserved for a full disk.
   */
  write(name: string, bytes: Uint8Array, urgent?: boolean): Promise<void>;
  /** Opens a file with two slots, and creates it if it is missing. Fails with `unavailable`. */
  openSlots(name: string): Promise<SlotFile>;
  list(): Promise<readonly string[]>;
  /** Removes a file. A missing file is no failure. */
  remove(name: string): Promise<void>;
}

const fileBytesMax = 16 * 1024 * 1024;
const reserveName = "reserve";
const reserveBytes = 512 * 1024;

/** Opens the folder at `path`, and creates it with mode 0700 if it is missing. Fails with `unavailable`. */
export async function openStateFolder(path: string): Promise<StateFolder> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new AshlarError("unavailable", `cannot use the folder ${path}: ${messageOf(cause)}`, { cause });
  }
  const folder = new DiskFolder(path);
  await folder.begin();
  return folder;
}

class DiskFolder implements StateFolder {
  readonly #path: string;
  #hasReserve = false;

  constructor(path: string) {
    this.#path = path;
  }

  async begin(): Promise<void> {
    const names = await this.list();
    for (const name of names) if (name.endsWith(temporarySuffix)) await this.remove(name);
    this.#hasReserve = names.includes(reserveName);
    if (!this.#hasReserve) await this.#keepReserve();
  }

  /**
   * Writes a file that reserves space for a floor on a full disk, because I2 requires the floor on disk before it is
   * acted on.
   */
  async #keepReserve(): Promise<void> {
    try {
      await this.#replace(reserveName, new Uint8Array(reserveBytes));
      this.#hasReserve = true;
    } catch {} // retried after the next write that succeeds
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    let file: Awaited<ReturnType<typeof open>> | undefined;
    try {
      file = await open(join(this.#path, name), "r");
      const { size } = await file.stat();
      if (size > fileBytesMax)
        throw new AshlarError("limit", `${name}: ${size} bytes, at most ${fileBytesMax} are read`);
      return new Uint8Array(await file.readFile());
    } catch (cause) {
      if (isMissing(cause)) return undefined;
      if (cause instanceof AshlarError) throw cause;
      throw new AshlarError("unavailable", `cannot read ${join(this.#path, name)}: ${messageOf(cause)}`, { cause });
    } finally {
      await file?.close();
    }
  }

  async write(name: string, bytes: Uint8Array, urgent = false): Promise<void> {
    try {
      await this.#replace(name, bytes);
      if (!this.#hasReserve) await this.#keepReserve();
    } catch (cause) {
      if (!urgent || !isDiskFull(cause) || !this.#hasReserve) throw cause;
      this.#hasReserve = false;
      await this.remove(reserveName);
      await this.#replace(name, bytes);
    }
  }

  #replace(name: string, bytes: Uint8Array): Promise<void> {
    return replaceDurably(join(this.#path, name), bytes);
  }

  openSlots(name: string): Promise<SlotFile> {
    return openSlotFile(join(this.#path, name));
  }

  async list(): Promise<readonly string[]> {
    try {
      return await readdir(this.#path);
    } catch (cause) {
      throw new AshlarError("unavailable", `cannot read ${this.#path}: ${messageOf(cause)}`, { cause });
    }
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.#path, name), { force: true });
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : undefined);
const isMissing = (error: unknown): boolean => codeOf(error) === "ENOENT";
