/** The law of the journal: what is valid is a pure function of the log, the same for every reader (decision 0042). */

/** An entry as far as validity goes. */
export interface LogEntry {
  readonly sequence: number;
  /** The last token of its subject. */
  readonly key: string;
  /** Whether it has an order key. */
  readonly isOrdered: boolean;
  readonly expected: number;
  /** Mode "after": it holds its outcome. */
  readonly hasOutcome: boolean;
  /** It closes a streamed request: the stream, and the records that have its messages. */
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
  /** The head of its order key after it; 0: no order key. */
  readonly head: number;
  /** The sequence of what settled it: the first outcome or resolution in the log; its own in mode "after"; 0: nothing yet. */
  readonly settledBy: number;
}

/** An entry with an order key is valid if it is the first in the log that names the valid head; it is the head then. */
export function mayFollow(head: number, entry: Pick<LogEntry, "isOrdered" | "expected">): boolean {
  return !entry.isOrdered || entry.expected === head;
}

/**
 * What was let go: everything up to `through`, and the heads that order keys had there. Every valid entry among it was
 * settled. It is written in the log itself, after what it is about, so that the law is the same for those who read what
 * is kept as for those who read it all.
 */
export interface LetGo {
  readonly through: number;
  readonly heads: ReadonlyMap<string, number>;
}

const nothingLetGo: LetGo = { through: 0, heads: new Map() };

/**
 * Reads a log in its order. What was let go and is still there, or there again, counts for nothing. Messages of a stream count
 * through the valid entry that closes it and names them; that one is the write, at its own sequence. Without it they are void.
 */
export class JournalLog {
  readonly #through: number;
  readonly #heads: Map<string, number>;
  readonly #entries = new Map<number, JudgedEntry>();
  /** Records of streams that no valid entry has closed. */
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

  /** The records of each stream without a valid closing record: they are void, unless that comes yet. */
  get unclosed(): Iterable<readonly number[]> {
    return this.#open.values();
  }

  /** Returns the entry that it settles, or undefined: there is none, it is void, or it is settled already. */
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

  /** The valid head of an order key; 0: none. */
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
