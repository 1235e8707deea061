/**
 * The questions about the journal that a worker, which has no NATS, asks the first process: to append a record that the
 * worker signed, and to read.
 */
import { AshlarError } from "../../core/errors.js";
import { importedHeader } from "../../core/wire/journal/imported.js";
import { statementHeader } from "../../core/wire/statement.js";
import { journalKeySubject, journalKeysStream, journalPrefix, journalStream } from "../../core/wire/subjects.js";
import type { Bus, StoredMessage, StoredQuery } from "../../runtime/bus.js";

export type JournalQuestion =
  | {
      readonly kind: "journal-append";
      readonly subject: string;
      readonly data: Uint8Array;
      readonly headers: Readonly<Record<string, string>>;
    }
  /** Reads from the journal. `ofKeys`: reads from the stream of data keys instead. */
  | { readonly kind: "journal-read"; readonly query: StoredQuery; readonly ofKeys?: boolean };

export interface JournalAppended {
  readonly sequence: number;
  readonly isDuplicate: boolean;
}

/** A message of the journal. Only two of its headers are passed on. */
export interface SentMessage {
  readonly sequence: number;
  readonly subject: string;
  readonly published: string;
  readonly data: Uint8Array;
  readonly storedMs: number;
  readonly statement: string | undefined;
  /** A control plane's confirmation of an imported message. undefined: the message was not imported. */
  readonly imported: string | undefined;
}

/** The answer. `found` is undefined if there is no such message. */
export type JournalAnswer = JournalAppended | { readonly found: SentMessage | undefined };

/** The part of the bus that the journal uses. */
export type JournalBus = Pick<Bus, "append" | "directGet">;

/**
 * How many of these questions a worker may have open. It is fewer than in all, so that questions about policy have
 * room.
 */
export const journalQuestionsMax = 2048;

/** A worker's access to the journal, by questions to the first process. */
export class WorkerJournalBus implements JournalBus {
  readonly #ask: (what: JournalQuestion) => Promise<JournalAnswer>;
  #open = 0;

  constructor(ask: (what: JournalQuestion) => Promise<JournalAnswer>) {
    this.#ask = ask;
  }

  async append(subject: string, data: Uint8Array, options: Parameters<Bus["append"]>[2] = {}): Promise<number> {
    const answer = await this.#asking({ kind: "journal-append", subject, data, headers: options.headers ?? {} });
    if (!("sequence" in answer)) throw new AshlarError("internal", "an append was answered with a message");
    if (answer.isDuplicate) options.onDuplicate?.();
    return answer.sequence;
  }

  async directGet(stream: string, query: StoredQuery): Promise<StoredMessage | undefined> {
    const ofKeys = stream.startsWith(journalKeysStream(""));
    const answer = await this.#asking({ kind: "journal-read", query, ofKeys });
    if (!("found" in answer)) throw new AshlarError("internal", "a read was answered with a sequence");
    const { found } = answer;
    if (found === undefined) return undefined;
    const { sequence, subject, published, data, storedMs, statement, imported } = found;
    const headers: Readonly<Record<string, string | undefined>> = {
      [statementHeader]: statement,
      [importedHeader]: imported,
    };
    const header = (name: string): string | undefined => headers[name];
    return { sequence, subject, data, storedMs, header, relayed: false, origin: { stream: "", subject: published } };
  }

  async #asking(what: JournalQuestion): Promise<JournalAnswer> {
    if (this.#open >= journalQuestionsMax)
      throw new AshlarError("unavailable", `more than ${journalQuestionsMax} questions about the journal are open`);
    this.#open += 1;
    try {
      return await this.#ask(what);
    } finally {
      this.#open -= 1;
    }
  }
}

/**
 * Answers a worker's question about this service's journal. Fails as the bus does, and with `denied` for another
 * service.
 */
export async function answerJournal(bus: JournalBus, service: string, what: JournalQuestion): Promise<JournalAnswer> {
  if (what.kind === "journal-read") {
    const stream = what.ofKeys ? journalKeysStream(service) : journalStream(service);
    const message = await bus.directGet(stream, what.query);
    return { found: message && sent(message) };
  }
  const { subject, data, headers } = what;
  const isRecord = ["entry", "outcome"].some((kind) => subject.startsWith(`${journalPrefix(service)}.${kind}.`));
  const isKey = /^[0-9a-f.]+$/.test(subject.slice(journalKeySubject(service, "", "").length - 1));
  if (!isRecord && !(isKey && subject.startsWith(journalKeySubject(service, "", "").slice(0, -1))))
    throw new AshlarError("denied", `a worker appends to the journal of ${service} alone, not to ${subject}`);
  let isDuplicate = false;
  const onDuplicate = (): void => {
    isDuplicate = true;
  };
  return { sequence: await bus.append(subject, data, { headers, onDuplicate }), isDuplicate };
}

function sent(message: StoredMessage): SentMessage {
  const { sequence, subject, data, storedMs, origin } = message;
  return {
    sequence,
    subject,
    published: origin?.subject ?? subject,
    data,
    storedMs,
    statement: message.header(statementHeader),
    imported: message.header(importedHeader),
  };
}

/** The readers of fields that `messages.ts` passes in. */
interface Readers {
  text(value: unknown): string;
  bytes(value: unknown): Uint8Array;
  integer(value: unknown): number;
}

const headersMax = 8;
const headerBytesMax = 16 * 1024;

/**
 * Reads a question about the journal. undefined: it is another question. Fails with `invalid_record`, like
 * `readFromWorker`.
 */
export function readJournalQuestion(
  question: Readonly<Record<string, unknown>>,
  { text, bytes, integer }: Readers,
): JournalQuestion | undefined {
  if (question.kind === "journal-append") {
    const { subject, data, headers } = question;
    return { kind: "journal-append", subject: text(subject), data: bytes(data), headers: readHeaders(headers) };
  }
  if (question.kind !== "journal-read") return undefined;
  const { query } = question;
  const of = question.ofKeys === true ? { ofKeys: true } : {};
  if (typeof query !== "object" || query === null)
    throw new AshlarError("invalid_record", "a message of a worker: its query is none");
  const { sequence, lastOf, nextOf, from } = query as Readonly<Record<string, unknown>>;
  if (sequence !== undefined) return { kind: "journal-read", ...of, query: { sequence: integer(sequence) } };
  if (lastOf !== undefined) return { kind: "journal-read", ...of, query: { lastOf: text(lastOf) } };
  return { kind: "journal-read", ...of, query: { nextOf: text(nextOf), from: integer(from) } };
}

function readHeaders(value: unknown): Readonly<Record<string, string>> {
  const given = typeof value === "object" && value !== null ? Object.entries(value) : [];
  if (given.length > headersMax) throw new AshlarError("invalid_record", "a message of a worker: too many headers");
  const headers: Record<string, string> = {};
  for (const [name, one] of given) {
    if (typeof one !== "string" || one.length > headerBytesMax || /[\r\n]/.test(name + one))
      throw new AshlarError("invalid_record", "a message of a worker: a header is not acceptable");
    headers[name] = one;
  }
  return headers;
}
