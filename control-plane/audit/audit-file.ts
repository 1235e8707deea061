/**
 * A control plane's own file of the audit log: entries that wait for their place in the chain, and entries that have
 * one.
 */
import { link, rename, rm, stat } from "node:fs/promises";
import { type AuditEntry, encodeAuditEntry, parseAuditEntry } from "../../core/wire/audit.js";
import { replaceDurably } from "../../runtime/durable-file.js";
import { encodeFileLog, type FileLog, openFileLog, readFileLog } from "../store/file-copy.js";
import { Mutex } from "../store/mutex.js";

/** An entry that has no place in the chain yet. */
export type UnplacedEntry = Omit<AuditEntry, "sequence" | "previous">;

export interface AuditContents {
  /**
   * The bytes of entries that have a place in the chain, in the order in which they were copied. An entry may occur
   * twice.
   */
  readonly placed: readonly Uint8Array[];
  /** Entries without a place, oldest first. */
  readonly unplaced: readonly UnplacedEntry[];
  /** The stream that was read last, by its time of creation, and the last sequence that was read. */
  readonly position: { readonly created: string; readonly sequence: number };
}

export interface AuditFile {
  /** The contents when the file was opened. */
  readonly contents: AuditContents;
  readonly damage: string | undefined;
  /** Reads the present contents. */
  read(): Promise<AuditContents>;
  /** Notes that another stream is read from now on, and that it was read up to `sequence`. */
  beginStream(created: string, sequence: number): Promise<void>;
  /** Stores an entry without a place. Once it resolves, the entry survives kill -9 and power loss. */
  addUnplaced(entry: UnplacedEntry): Promise<void>;
  /** Stores an entry as it is at `sequence` of the stream. */
  addPlaced(sequence: number, bytes: Uint8Array): Promise<void>;
  /**
   * If the file is longer than `bytesMax`, replaces it by one with the entries without a place and the newest quarter
   * of the others. The old file is kept as FILE.1.
   */
  compact(): Promise<void>;
  close(): Promise<void>;
}

const headBytes = 8; // the sequence in the stream, or a mark
const streamMark = 0n;
const unplacedMark = 0xffff_ffff_ffff_ffffn;

function frame(head: bigint, bytes: Uint8Array): Uint8Array {
  const start = Buffer.alloc(headBytes);
  start.writeBigUInt64BE(head);
  return Buffer.concat([start, bytes]);
}

const frameStream = (created: string, sequence: number): Uint8Array =>
  frame(streamMark, Buffer.from(`${created} ${sequence}`));

function parseStream(bytes: Uint8Array): { readonly created: string; readonly sequence: number } {
  const text = Buffer.from(bytes).toString("utf8");
  const [, created = text, sequence = "0"] = /^(.*) (\d+)$/.exec(text) ?? [];
  return { created, sequence: Number(sequence) };
}

/**
 * Returns the bytes of an entry without a place. It is written as the first of a chain, because its sequence and link
 * are not known yet.
 */
const frameUnplaced = (entry: UnplacedEntry): Uint8Array =>
  frame(unplacedMark, encodeAuditEntry({ ...entry, sequence: 1, previous: undefined }));

interface Framed {
  readonly created: string;
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

function parse(records: readonly Uint8Array[]): AuditContents & { readonly framed: readonly Framed[] } {
  const framed: Framed[] = [];
  const unplaced = new Map<string, UnplacedEntry>();
  let position = { created: "", sequence: 0 };
  for (const record of records) {
    if (record.length < headBytes) continue;
    const head = Buffer.from(record.buffer, record.byteOffset, record.length).readBigUInt64BE();
    const bytes = record.slice(headBytes);
    if (head === streamMark) position = parseStream(bytes);
    else if (head === unplacedMark) {
      const { sequence: _none, previous: _nothing, ...entry } = readEntry(bytes) ?? { id: "" };
      if ("timeMs" in entry) unplaced.set(entry.id, entry);
    } else {
      position = { ...position, sequence: Number(head) };
      framed.push({ ...position, bytes });
      if (unplaced.size > 0) unplaced.delete(readEntry(bytes)?.id ?? "");
    }
  }
  return { framed, placed: framed.map(({ bytes }) => bytes), unplaced: [...unplaced.values()], position };
}

function readEntry(bytes: Uint8Array): AuditEntry | undefined {
  try {
    return parseAuditEntry(bytes);
  } catch {
    return undefined; // a damaged entry is reported when the log is listed
  }
}

/** Returns the records of a file with all entries without a place and the newest others that fit into `bytesMax`. */
function shorten({ framed, unplaced, position }: ReturnType<typeof parse>, bytesMax: number): readonly Uint8Array[] {
  let bytes = 0;
  const kept = framed.filter((_, index) => {
    bytes += framed[framed.length - 1 - index]?.bytes.length ?? 0;
    return bytes <= bytesMax;
  }).length;
  const records: Uint8Array[] = [];
  let created: string | undefined;
  for (const one of [...framed.slice(framed.length - kept), undefined]) {
    const next = one?.created ?? position.created;
    if (next !== created) records.push(frameStream(next, one?.sequence ?? position.sequence));
    created = next;
    if (one !== undefined) records.push(frame(BigInt(one.sequence), one.bytes));
  }
  return [...records, ...unplaced.map(frameUnplaced)];
}

/** Opens or creates `file`. */
export async function openAuditFile(file: string, bytesMax: number): Promise<AuditFile> {
  let log: FileLog = await openFileLog(file);
  const former = `${file}.1`;
  // appends only begin under this mutex, so that many share one fsync and none conflicts with `compact`
  const mutex = new Mutex();
  const append = async (record: Uint8Array): Promise<void> => {
    const begun = await mutex.run(async () => ({ done: log.append(record) }));
    await begun.done;
  };
  const read = async (): Promise<AuditContents> => {
    const old = await readFileLog(former).catch(() => []);
    return parse([...old, ...(await readFileLog(file))]);
  };
  const compact = async (): Promise<void> => {
    if ((await stat(file)).size < bytesMax) return;
    const records = shorten(parse(await readFileLog(file)), bytesMax / 4);
    const beside = `${former}.new`;
    await rm(beside, { force: true });
    await link(file, beside);
    await rename(beside, former); // the file before it stays until this one has its place
    await replaceDurably(file, encodeFileLog(records));
    const before = log;
    log = await openFileLog(file); // a failure up to here leaves the old file open
    await before.close();
  };
  return {
    contents: parse(log.records),
    damage: log.damage,
    read: () => mutex.run(read),
    beginStream: (created, sequence) => append(frameStream(created, sequence)),
    addUnplaced: (entry) => append(frameUnplaced(entry)),
    addPlaced: (sequence, bytes) => append(frame(BigInt(sequence), bytes)),
    compact: () => mutex.run(compact),
    close: () => mutex.run(() => log.close()),
  };
}
