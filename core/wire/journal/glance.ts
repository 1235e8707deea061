/**
 * Looks at single fields of journal records and decodes nothing else, for readers of every record of a journal to whom
 * a false claim does no harm. Nothing is checked: whoever relies on a record parses it.
 */

/** What is seen of an entry. */
export interface SeenEntry {
  /** Whether the entry contains its outcome, as in mode "after". */
  readonly hasOutcome: boolean;
  /** The caller's deadline; 0: there was none. */
  readonly deadlineMs: number;
}

/** The numbers of the fields in `JournalEntry` and `JournalOutcome`. */
const field = { entryDeadlineMs: 16, entryOutcome: 21, outcomeEntry: 4 } as const;

/** Returns what is seen of an entry; undefined: the bytes are no protobuf message. */
export function glanceAtEntry(bytes: Uint8Array): SeenEntry | undefined {
  const fields = new Fields(bytes);
  let deadlineMs = 0;
  let hasOutcome = false;
  while (fields.next()) {
    if (fields.number === field.entryDeadlineMs) deadlineMs = fields.value;
    else if (fields.number === field.entryOutcome) hasOutcome = true;
  }
  return fields.isWhole && Number.isSafeInteger(deadlineMs) ? { hasOutcome, deadlineMs } : undefined;
}

/** Returns the sequence of the entry that an outcome is about; undefined: it names none. */
export function glanceAtOutcome(bytes: Uint8Array): number | undefined {
  const fields = new Fields(bytes);
  let entry = 0;
  while (fields.next()) if (fields.number === field.outcomeEntry) entry = fields.value;
  return fields.isWhole && Number.isSafeInteger(entry) && entry > 0 ? entry : undefined;
}

/** Goes through the top-level fields of a message. */
class Fields {
  /** The number of the present field, and its value if it is a varint. */
  number = 0;
  value = 0;
  /** False once the bytes cannot be read on. */
  isWhole = true;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Goes to the next field. Returns false at the end, or where the bytes cannot be read on. */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false;
    const tag = this.#varint();
    this.number = Math.floor(tag / 8);
    const wireType = tag % 8;
    this.value = wireType === 0 ? this.#varint() : 0;
    const length = wireType === 2 ? this.#varint() : 0;
    this.#at += length;
    if (wireType === 1) this.#at += 8;
    else if (wireType === 5) this.#at += 4;
    else if (wireType !== 0 && wireType !== 2) this.isWhole = false;
    if (this.#at > this.#bytes.length || this.number === 0) this.isWhole = false;
    return this.isWhole;
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    this.isWhole = false;
    return 0;
  }
}
