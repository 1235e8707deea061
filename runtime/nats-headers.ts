/**
 * Parses header blocks of NATS messages strictly from their bytes. The server does not check the block that a client
 * sends, and appends its own fields to it: if the last line has no end, the first of these becomes part of a value of
 * the sender and cannot be recognized. The parser of the `nats` client accepts such a block, or throws.
 */

export interface HeaderBlock {
  /** The status code in answers of the server, such as 404; 0: none. */
  readonly code: number;
  /** The text after the code. */
  readonly description: string;
  /** Names and values in order, without the spaces around values. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

export const noHeaders: HeaderBlock = { code: 0, description: "", fields: [] };

const firstLine = /^NATS\/1\.0(?: (\d{3})(?: ([ -~]*))?)?$/;
/** A name is visible ASCII without a colon; a value is visible ASCII, spaces and tabs. */
const fieldLine = /^([!-9;-~]+):[ \t]*([ -~\t]*)$/;

/** Parses a block; undefined: it is malformed. Each line must end with CRLF, and the last one must be empty. */
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

/** Returns the values of the field with exactly this name. */
export function valuesOf({ fields }: HeaderBlock, name: string): readonly string[] {
  return fields.filter(([own]) => own === name).map(([, value]) => value);
}

/** The fields that only a server writes. Each of them shows that the message was stored before. */
const serverFields: ReadonlySet<string> = new Set([
  "nats-stream",
  "nats-subject",
  "nats-sequence",
  "nats-last-sequence",
  "nats-time-stamp",
]);

/** Returns how often a server has added its fields to the block: the highest count of one of them. */
export function timesRelayed({ fields }: HeaderBlock): number {
  const counts = new Map<string, number>();
  for (const [name] of fields) {
    const lower = name.toLowerCase();
    if (serverFields.has(lower)) counts.set(lower, (counts.get(lower) ?? 0) + 1);
  }
  return Math.max(0, ...counts.values());
}
