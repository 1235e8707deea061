/**
 * The law of the journal: which entries are valid is a pure function of the log, the same for every reader (decision
 * 0042).
 */

/** An entry, with what its validity depends on. */
export interface LogEntry {
  readonly sequence: number;
  /** The last token of the entry's NATS subject. */
  readonly key: string;
  /** Whether the entry has an order key. */
  readonly isOrdered: boolean;
  readonly expected: number;
  /** Mode "after": the entry contains its outcome. */
  readonly hasOutcome: boolean;
  /** The streamed request that the entry closes: its stream, and the sequences of the records with its messages. */
  readonly streamed?: { readonly stream: string; readonly messages: readonly number[] } | undefined;
}

/** A record with messages of a streamed request. */
export interface LogMessages {
  readonly sequence: number;
  readonly stream: string;
}

/** An outcome or a resolution. */
export interface LogOutcome {
  readonly sequence: number;
  readonly entry: number;
}

export interface JudgedEntry extends LogEntry {
  readonly isValid: boolean;
  /** The head of the order key after this entry; 0: the entry has no order key. */
  readonly head: number;
  /**
   * The sequence of the record that settled the entry: the first outcome or resolution in the log, or the entry itself
   * in mode "after"; 0: nothing has settled it.
   */
  readonly settledBy: number;
}

/**
 * An entry with an order key is valid if it is the first in the log that names the valid head; it becomes the new head.
 */
export function mayFollow(head: number, entry: Pick<LogEntry, "isOrdered" | "expected">): boolean {
  return !entry.isOrdered || entry.expected === head;
}

/**
 * What was removed from the journal: every message up to the sequence `through`, and the heads that order keys had
 * there. Every valid entry among them was settled. This statement is stored in the log itself, after the messages that
 * it covers, so that the law gives the same result to a reader of the remaining messages as to a reader of all.
 */
export interface LetGo {
  readonly through: number;
  readonly heads: ReadonlyMap<string, number>;
}

const nothingLetGo: LetGo = { through: 0, heads: new Map() };

/**
 * Reads a log in its order. Messages that were removed are ignored, even if they are still or again in the stream.
 * Messages of a streamed request count only through the valid entry that closes the stream and names them; that entry
 * is the write, at its own sequence. Without it they are void.
 */
export class JournalLog {
  readonly #through: number;
  readonly #heads: Map<string, number>;
  readonly #entries = new Map<number, JudgedEntry>();
  /** The records of streams that no valid entry has closed yet. */
  readonly #open = new Map<string, number[]>();

  constructor({ through, heads } = nothingLetGo) {
    this.#through = through;
    this.#heads = new Map(heads);
  }

  addEntry(entry: LogEntry): JudgedEntry | undefined {
    if (entry.sequence <= this.#through) return undefined;
    const head = this.#heads.get(entry.key) ?? 0;
    const isValid = mayFollow(head, entry);
    const after = entry.isOrdered ? (isValid ? entry.sequence : head) : 0;
    if (entry.isOrdered && isValid) this.#heads.set(entry.key, entry.sequence);
    const settledBy = entry.hasOutcome ? entry.sequence : 0;
    const judged: JudgedEntry = { ...entry, isValid, head: after, settledBy };
    this.#entries.set(entry.sequence, judged);
    if (isValid && entry.streamed !== undefined) this.#open.delete(entry.streamed.stream);
    return judged;
  }

  addMessages({ sequence, stream }: LogMessages): void {
    if (sequence <= this.#through) return;
    const before = this.#open.get(stream);
    if (before === undefined) this.#open.set(stream, [sequence]);
    else before.push(sequence);
  }

  /** The records of each stream that no valid entry has closed. They are void unless that entry still comes. */
  get unclosed(): Iterable<readonly number[]> {
    return this.#open.values();
  }

  /**
   * Adds an outcome. Returns the entry that it settles, or undefined if that entry does not exist, is void, or is
   * settled already.
   */
  addOutcome({ entry, sequence }: LogOutcome): JudgedEntry | undefined {
    const found = this.#entries.get(entry);
    if (found === undefined || !found.isValid || found.settledBy !== 0) return undefined;
    const settled = { ...found, settledBy: sequence };
    this.#entries.set(entry, settled);
    return settled;
  }

  entry(sequence: number): JudgedEntry | undefined {
    return this.#entries.get(sequence);
  }

  /** Returns the valid head of an order key; 0: it has none. */
  head(key: string): number {
    return this.#heads.get(key) ?? 0;
  }

  /** The valid heads of all order keys. */
  get heads(): ReadonlyMap<string, number> {
    return this.#heads;
  }

  get entries(): Iterable<JudgedEntry> {
    return this.#entries.values();
  }
}
