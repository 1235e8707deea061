/** Streams in memory: which subjects match, where messages are republished, and which message ids are remembered. */
import { AshlarError } from "../core/errors.js";
import type { AppendOptions, StoredMessage, StreamInfo, StreamSpec } from "./bus.js";

export interface MemoryStream {
  spec: StreamSpec;
  readonly created: string;
  messages: StoredMessage[];
  lastSequence: number;
  /** The sequence and time of each message id. */
  readonly ids: Map<string, { readonly sequence: number; readonly atMs: number }>;
}

/** Returns whether `subject` matches a NATS pattern with "*" and ">". */
export function matchesSubject(pattern: string, subject: string): boolean {
  const [want, have] = [pattern.split("."), subject.split(".")];
  for (const [index, token] of want.entries()) {
    if (token === ">") return have.length > index;
    if (have[index] === undefined || (token !== "*" && token !== have[index])) return false;
  }
  return want.length === have.length;
}

/** Returns the subject on which a stored message is republished. */
export function republishedTo({ from, to }: NonNullable<StreamSpec["republish"]>, subject: string): string {
  if (from.endsWith(".>") && to.endsWith(".>")) return to.slice(0, -1) + subject.slice(from.length - 1);
  return to.replaceAll(/\{\{wildcard\((\d)\)\}\}/g, (_, which: string) => wildcardOf(from, subject, Number(which)));
}

/** Returns the token that the `which`th "*" of `pattern`, counted from 1, matches in `subject`. */
function wildcardOf(pattern: string, subject: string, which: number): string {
  const places = pattern.split(".").flatMap((token, place) => (token === "*" ? [place] : []));
  return subject.split(".")[places[which - 1] ?? -1] ?? "";
}

/** Returns the sequence of the message with this id, while the id is remembered. */
export function sequenceOfId({ spec, ids }: MemoryStream, id: string | undefined, nowMs: number): number | undefined {
  const same = id === undefined ? undefined : ids.get(id);
  const windowMs = spec.duplicateWindowMs ?? 120_000;
  return same === undefined || nowMs - same.atMs > windowMs ? undefined : same.sequence;
}

/**
 * Drops messages to make room for a new one. Fails with `limit` if that is not allowed, and with `exists` on a
 * write-once subject.
 */
export function makeRoom(stream: MemoryStream, subject: string, bytes: number, what: string): void {
  const { maxMessagesPerSubject, maxBytes, discard, discardNewPerSubject } = stream.spec;
  const same = stream.messages.filter((message) => message.subject === subject);
  if (maxMessagesPerSubject !== undefined && same.length >= maxMessagesPerSubject) {
    if (discard === "new" && discardNewPerSubject) {
      throw new AshlarError("exists", `${what}: maximum messages per subject exceeded`);
    }
    stream.messages = stream.messages.filter((message) => message !== same[0]);
  }
  if (maxBytes === undefined) return;
  const used = (): number => stream.messages.reduce((sum, message) => sum + message.data.length, 0);
  while (stream.messages.length > 0 && used() + bytes > maxBytes) {
    if (discard === "new") throw new AshlarError("limit", `${what}: maximum bytes exceeded`);
    stream.messages.shift();
  }
}

/** Deletes a message. Fails with `denied` if messages of the stream cannot be deleted, or if there is no stream. */
export function eraseFrom(stream: MemoryStream | undefined, name: string, sequence: number): void {
  if (stream?.spec.denyDelete !== false) throw new AshlarError("denied", `stream ${name} does not let go of messages`);
  stream.messages = stream.messages.filter((message) => message.sequence !== sequence);
}

/** The stream that has this subject. */
export function streamOf(streams: Iterable<MemoryStream>, subject: string): MemoryStream | undefined {
  for (const stream of streams)
    if (stream.spec.subjects.some((pattern) => matchesSubject(pattern, subject))) return stream;
  return undefined;
}

export function infoOf({ spec, created, lastSequence, messages }: MemoryStream): StreamInfo {
  const firstSequence = messages[0]?.sequence ?? lastSequence + 1;
  const bytes = messages.reduce((sum, { data }) => sum + data.length, 0);
  const state = { firstSequence, lastSequence, messages: messages.length, lagging: 0, bytes };
  return { spec, dangers: [], created, ...state };
}

/** Stores a message as a stream does that acknowledges nothing: nobody hears of what it refuses. */
export function storeQuietly(
  headers: Readonly<Record<string, string>>,
  store: (options: AppendOptions) => unknown,
): void {
  const expected = headers["Nats-Expected-Last-Sequence"];
  try {
    store({ headers, ...(expected !== undefined && { expectLastSequence: Number(expected) }) });
  } catch (error) {
    if (!(error instanceof AshlarError)) throw error;
  }
}
