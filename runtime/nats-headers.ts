/**
 * Header blocks of NATS messages, parsed strictly from their bytes. The server does not check the block that a client
 * sends, and puts its own fields behind what it finds: without a last line end its first field becomes part of a value
 * of the sender's, and cannot be seen. The parser of the `nats` client takes what it is given, or throws.
 */

export interface HeaderBlock {
  /** 404 and the like, in answers of the server; 0: none. */
  readonly code: number;
  /** What stands behind the code. */
  readonly description: string;
  /** Names and values in their order, with the spaces around values removed. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

export const noHeaders: HeaderBlock = { code: 0, description: "", fields: [] };

const firstLine = /^NATS\/1\.0(?: (\d{3})(?: ([ -~]*))?)?$/;
/** A name is visible ASCII without a colon; a value is visible ASCII, spaces and tabs. */
const fieldLine = /^([!-9;-~]+):[ \t]*([ -~\t]*)$/;

/** undefined: the block is malformed. Each line has to end with CRLF, and an empty one has to be the last. */
export function parseHeaderBlock(bytes: Uint8Array): HeaderBlock | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  if (!text.endsWith("\r\n\r\n")) return undefined;
  const [first = "", ...lines] = text.slice(0, -4).split("\r\n");
  const start = firstLine.exec(first);
  if (start === null) return undefined;
  const fields: [string, string][] = [];
  for (const line of lines) {
    const field = fieldLine.exec(line);
    if (field === null) return undefined;
    fields.push([field[1] ?? "", (field[2] ?? "").trimEnd()]);
  }
  return { code: Number(start[1] ?? 0), description: start[2] ?? "", fields };
}

/** The values of a field, by its exact name. */
export function valuesOf({ fields }: HeaderBlock, name: string): readonly string[] {
  return fields.filter(([own]) => own === name).map(([, value]) => value);
}

/** The fields that only a server writes; every one of them tells that a message was stored before. */
const serverFields: ReadonlySet<string> = new Set([
  "nats-stream",
  "nats-subject",
  "nats-sequence",
  "nats-last-sequence",
  "nats-time-stamp",
]);

/** How often a server has put its fields into the block: the most often that one of them stands there. */
export function timesRelayed({ fields }: HeaderBlock): number {
  const counts = new Map<string, number>();
  for (const [name] of fields) {
    const lower = name.toLowerCase();
    if (serverFields.has(lower)) counts.set(lower, (counts.get(lower) ?? 0) + 1);
  }
  return Math.max(0, ...counts.values());
}
