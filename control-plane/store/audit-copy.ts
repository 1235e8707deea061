/** The own copy of the audit log: entries with the stream's sequence they were read at. */
import { openFileLog, readFileLog } from "./file-copy.js";

export interface AuditCopy {
  /** The newest entries when it was opened, in the order they were copied. */
  readonly newest: readonly Uint8Array[];
  /** All entries, read from disk; one may be there twice. */
  readAll(): Promise<readonly Uint8Array[]>;
  /** The stream that was read last (its time of creation), and how far. */
  readonly position: { readonly created: string; readonly sequence: number };
  readonly damage: string | undefined;
  /** From here on another stream is read. */
  beginStream(created: string): Promise<void>;
  append(sequence: number, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

const headBytes = 8;

function join(sequence: number, bytes: Uint8Array): Uint8Array {
  const head = Buffer.alloc(headBytes);
  head.writeBigUInt64BE(BigInt(sequence));
  return Buffer.concat([head, bytes]);
}

function parse(records: readonly Uint8Array[]): Pick<AuditCopy, "position"> & { entries: Uint8Array[] } {
  const entries: Uint8Array[] = [];
  let position = { created: "", sequence: 0 };
  for (const record of records) {
    const content = Buffer.from(record.buffer, record.byteOffset, record.length);
    if (content.length < headBytes) continue;
    const sequence = Number(content.readBigUInt64BE());
    const bytes = record.slice(headBytes);
    if (sequence === 0) position = { created: Buffer.from(bytes).toString("utf8"), sequence: 0 };
    else {
      entries.push(bytes);
      position = { ...position, sequence };
    }
  }
  return { entries, position };
}

/** Opens or creates `file`. Sequence 0 marks the name of the stream that what follows was read from. */
export async function openAuditCopy(file: string, newestMax: number): Promise<AuditCopy> {
  const log = await openFileLog(file);
  const { entries, position } = parse(log.records);
  return {
    newest: entries.slice(-newestMax),
    position,
    damage: log.damage,
    readAll: async () => parse(await readFileLog(file)).entries,
    beginStream: (created) => log.append(join(0, Buffer.from(created))),
    append: (sequence, bytes) => log.append(join(sequence, bytes)),
    close: () => log.close(),
  };
}
