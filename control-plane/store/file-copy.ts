/** A control plane's own copy of what is committed, which survives the loss of NATS. */
import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf, parseDigest } from "../../core/digest.js";
import { diskError } from "../../runtime/disk-fault.js";
import { replaceDurably, syncFolder, temporarySuffix } from "../../runtime/durable-file.js";

const headBytes = 8; // the length and the first bytes of the SHA-256, which tell a torn tail from a record
const recordBytesMax = 2 * 1024 * 1024;

const checksum = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest().subarray(0, 4);

/**
 * An append-only file of records. Each append is on disk when it resolves. An append that fails (`unavailable`) leaves
 * nothing behind: what it wrote is cut off before the next one.
 */
export interface FileLog {
  /** The records in the file when it was opened, in order. */
  readonly records: readonly Uint8Array[];
  /**
   * What is damaged in the file; undefined: nothing. A torn tail (a crash during an append) is cut off and is no
   * damage.
   */
  readonly damage: string | undefined;
  append(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Opens or creates `file`. A damaged file is kept aside as FILE.damaged, and its readable beginning goes on. */
export async function openFileLog(file: string): Promise<FileLog> {
  const content = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return Buffer.alloc(0);
    throw error;
  });
  const { records, end, torn } = parseFileLog(content);
  const damage =
    end === content.length || torn ? undefined : `${file} is damaged at byte ${end}; kept as ${file}.damaged`;
  if (damage !== undefined) {
    await rename(file, `${file}.damaged`);
    await replaceDurably(file, content.subarray(0, end));
  }
  const handle = await open(file, "a+", 0o600).catch((cause: unknown) => {
    throw diskError("open", file, cause);
  });
  try {
    if (torn) await handle.truncate(end);
    await handle.sync();
    await syncFolder(join(file, ".."));
  } catch (cause) {
    await handle.close().catch(() => {});
    throw diskError("open", file, cause);
  }
  const appender = new Appender(file, handle, end);
  return { records, damage, append: (bytes) => appender.append(bytes), close: () => appender.close() };
}

/** Returns the present records of `file`, up to the first damage. */
export async function readFileLog(file: string): Promise<readonly Uint8Array[]> {
  return parseFileLog(await readFile(file)).records;
}

/** Returns the bytes of a file with these records. */
export function encodeFileLog(records: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(records.map(encodeRecord));
}

function encodeRecord(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(bytes.length, 0);
  checksum(bytes).copy(head, 4);
  return Buffer.concat([head, bytes]);
}

/** Appends that arrive while one is being written are written together, with one sync. */
class Appender {
  readonly #file: string;
  readonly #handle: FileHandle;
  /** The end of the last append that is on disk, in bytes. */
  #end: number;
  /** Whether a failed append may have left bytes behind `#end`; later appends would be lost with them. */
  #torn = false;
  #waiting: Buffer[] = [];
  #next: Promise<void> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(file: string, handle: FileHandle, end: number) {
    this.#file = file;
    this.#handle = handle;
    this.#end = end;
  }

  append(bytes: Uint8Array): Promise<void> {
    this.#waiting.push(encodeRecord(bytes));
    this.#next ??= this.#last.then(() => this.#write());
    this.#last = this.#next.catch(() => {});
    return this.#next;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#handle.close();
  }

  async #write(): Promise<void> {
    const batch = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#next = undefined;
    try {
      if (this.#torn) await this.#cut();
      this.#torn = true;
      await this.#handle.appendFile(batch);
      await this.#handle.datasync();
      this.#torn = false;
      this.#end += batch.length;
    } catch (cause) {
      await this.#cut().catch(() => {}); // this frees the space; a failure here is retried before the next append
      throw diskError("write", this.#file, cause);
    }
  }

  async #cut(): Promise<void> {
    await this.#handle.truncate(this.#end);
    this.#torn = false;
  }
}

/** Returns the complete records of a file, where they end, and whether only an unfinished append follows. */
export function parseFileLog(content: Buffer): { records: Uint8Array[]; end: number; torn: boolean } {
  const records: Uint8Array[] = [];
  let at = 0;
  while (at + headBytes <= content.length) {
    const length = content.readUInt32BE(at);
    const end = at + headBytes + length;
    if (length > recordBytesMax) return { records, end: at, torn: false };
    if (end > content.length) return { records, end: at, torn: true };
    const bytes = content.subarray(at + headBytes, end);
    if (!checksum(bytes).equals(content.subarray(at + 4, at + headBytes))) {
      return { records, end: at, torn: end === content.length };
    }
    records.push(new Uint8Array(bytes));
    at = end;
  }
  return { records, end: at, torn: at < content.length };
}

/** A folder with a file for each content, named by its SHA-256. */
export interface BlobFolder {
  put(bytes: Uint8Array): Promise<Digest>;
  /** Returns the bytes, checked by digest; undefined if they are missing or damaged. */
  get(digest: Digest): Promise<Uint8Array | undefined>;
  /** Returns whether the content was put here, or was found when the folder was opened. */
  has(digest: Digest): boolean;
  list(): Promise<readonly Digest[]>;
}

/** Opens or creates a folder of blobs. */
export async function openBlobFolder(dir: string): Promise<BlobFolder> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const name of await readdir(dir)) if (name.endsWith(temporarySuffix)) await rm(join(dir, name), { force: true });
  const list = async () => (await readdir(dir)).filter((name) => /^[0-9a-f]{64}$/.test(name)).map(parseDigest);
  const known = new Set(await list());
  const get = async (digest: Digest): Promise<Uint8Array | undefined> => {
    const bytes = await readFile(join(dir, digest)).catch(() => undefined);
    return bytes !== undefined && digestOf(bytes) === digest ? new Uint8Array(bytes) : undefined;
  };
  return {
    get,
    async put(bytes) {
      const digest = digestOf(bytes);
      if ((await get(digest)) === undefined) await replaceDurably(join(dir, digest), bytes);
      known.add(digest);
      return digest;
    },
    has: (digest) => known.has(digest),
    list,
  };
}
