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

const lineEnd = "\r\n";

const firstLine = /NATS\/1\.0(?: (\d{3})(?: ([ -~]*))?)?\r\n/y;
/**
 * A name is visible ASCII without a colon; a value is visible ASCII, spaces and tabs. No two parts can take the same
 * characters: the time for a malformed line would grow with the square of its length.
 */
const fieldLine = /([!-9;-~]+):([ -~\t]*)\r\n/y;

/** Parses a block; undefined: it is malformed. Each line must end with CRLF, and the last one must be empty. */
export function parseHeaderBlock(bytes: Uint8Array): HeaderBlock | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  firstLine.lastIndex = 0;
  const start = firstLine.exec(text);
  if (start === null) return undefined;
  const fields: [string, string][] = [];
  let at = firstLine.lastIndex;
  while (at < text.length - lineEnd.length) {
    fieldLine.lastIndex = at;
    const field = fieldLine.exec(text);
    if (field === null) return undefined;
    fields.push([field[1] ?? "", (field[2] ?? "").trim()]);
    at = fieldLine.lastIndex;
  }
  if (at !== text.length - lineEnd.length || !text.endsWith(lineEnd)) return undefined;
  return { code: Number(start[1] ?? 0), description: start[2] ?? "", fields };
}

/** Returns the first value of the field with exactly this name, or undefined. */
export function firstValueOf({ fields }: HeaderBlock, name: string): string | undefined {
  for (const field of fields) if (field[0] === name) return field[1];
  return undefined;
}

/** Returns its last value, or undefined. */
export function lastValueOf({ fields }: HeaderBlock, name: string): string | undefined {
  for (let at = fields.length - 1; at >= 0; at -= 1) {
    const field = fields[at];
    if (field?.[0] === name) return field[1];
  }
  return undefined;
}

/** The fields that only a server writes. Each of them shows that the message was stored before. */
const serverFields = ["nats-stream", "nats-subject", "nats-sequence", "nats-last-sequence", "nats-time-stamp"];

/** Returns how often a server has added its fields to the block: the highest count of one of them. */
export function timesRelayed({ fields }: HeaderBlock): number {
  const counts = [0, 0, 0, 0, 0];
  let most = 0;
  for (const [name] of fields) {
    const which = serverFields.indexOf(name.toLowerCase());
    if (which < 0) continue;
    const count = (counts[which] ?? 0) + 1;
    counts[which] = count;
    if (count > most) most = count;
  }
  return most;
}
