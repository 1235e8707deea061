/** A service's journal for its proxies: signed records in its stream, read by direct gets that may lag. */
import { BoundedMap } from "../../core/bounded-map.js";
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { entryMessageId, keyIdOf, outcomeMessageId } from "../../core/journal/journal-key.js";
import { mayFollow } from "../../core/journal/journal-log.js";
import type { LetGoOfKey } from "../../core/journal/write-steps.js";
import type { KeySet } from "../../core/signature.js";
import { type JournalEntry, parseEntry } from "../../core/wire/journal/entry.js";
import type { Confirmation } from "../../core/wire/journal/fields.js";
import { encodeOutcome, type JournalOutcome, parseOutcome } from "../../core/wire/journal/outcome.js";
import { type JournalResolution, verifyResolution } from "../../core/wire/journal/resolution.js";
import { journalStream, journalSubject, parseJournalSubject } from "../../core/wire/subjects.js";
import type { Bus, StoredMessage, StoredQuery } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";
import type { CallIdentityView } from "../ports.js";
import { type Appended, appendOnce } from "./append-once.js";
import { LogWalks, walkMsMax } from "./log-walks.js";
import { readLetGo } from "./read-let-go.js";
import { TurnSigner, withMessageId } from "./turn-signer.js";
import { UnconfirmedRecords } from "./unconfirmed-records.js";

export interface JournalStoreDeps {
  readonly bus: Pick<Bus, "append" | "directGet">;
  readonly identity: CallIdentityView;
  readonly statements: Pick<StatementWriter, "sign">;
  readonly reader: Pick<StatementReader, "readJournal">;
  /** Returns the keys with which control planes sign resolutions. */
  readonly keys: () => KeySet;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

/** A stored entry. */
export interface StoredEntry {
  readonly sequence: number;
  /** The last token of its NATS subject. */
  readonly key: string;
  readonly entry: JournalEntry;
  readonly digest: Digest;
}

/** The record that settled an entry: its writer's outcome, or an operator's resolution. */
export type Settled =
  | {
      readonly kind: "outcome";
      readonly notForwarded: boolean;
      readonly behind: number;
      readonly outcome: JournalOutcome;
    }
  | {
      readonly kind: "resolution";
      readonly notForwarded: false;
      readonly behind: 0;
      readonly resolution: JournalResolution;
    };

const aboutOf = (settled: Settled): Pick<JournalOutcome, "entry" | "entryDigest"> =>
  settled.kind === "outcome" ? settled.outcome : settled.resolution;

const knownMax = 10_000;

export class JournalStore {
  readonly #deps: JournalStoreDeps;
  readonly service: string;
  readonly #stream: string;
  readonly #unconfirmed = new UnconfirmedRecords();
  readonly #entries = new BoundedMap<number, StoredEntry>(256);
  readonly #settled = new BoundedMap<number, Settled>(256);
  /** The last known head of each order key. */
  readonly heads = new BoundedMap<string, number>(knownMax);
  /** Entries that are known to be valid, with their keys. */
  readonly valid = new BoundedMap<number, string>(knownMax);
  /** When own recent entries were found valid, on the monotonic clock. */
  readonly validAtMs = new BoundedMap<number, number>(knownMax);
  /** How far an order key was walked: its head there, and the next sequence. */
  readonly #walked = new BoundedMap<string, { readonly head: number; readonly at: number }>(knownMax);
  readonly #walks: LogWalks;
  readonly #signer: TurnSigner;

  constructor(deps: JournalStoreDeps, service: string) {
    this.#deps = deps;
    this.service = service;
    this.#stream = journalStream(service);
    this.#walks = new LogWalks(deps.clock);
    this.#signer = new TurnSigner(deps.statements);
  }

  /** Returns the confirmations for the next record. */
  confirmations(): readonly Confirmation[] {
    return this.#unconfirmed.take(this.#deps.clock.monotonicMs());
  }

  /** Signs and appends the bytes of an entry. Fails as `Bus.append` does. */
  appendEntry(bytes: Uint8Array, digest: Digest, key: string, messageId: string): Promise<Appended> {
    return this.#append(bytes, digest, journalSubject(this.service, "entry", key), messageId);
  }

  /** Returns a function that appends this outcome once, if called again too. `isFirst` false: one may exist. */
  outcomeAppender(outcome: JournalOutcome, key: string, isFirst = true): () => Promise<void> {
    const append = this.#once(encodeOutcome(outcome), journalSubject(this.service, "outcome", key), outcome.confirms);
    return async () => {
      await append();
      const { notForwarded, behind } = outcome;
      if (isFirst) this.#settled.set(outcome.entry, { kind: "outcome", notForwarded, behind, outcome });
    };
  }

  /** Returns the same for messages of a streamed request; it resolves to their sequence. */
  messagesAppender(bytes: Uint8Array, key: string, confirms: readonly Confirmation[]): () => Promise<number> {
    return this.#once(bytes, journalSubject(this.service, "entry", key), confirms);
  }

  #once(bytes: Uint8Array, subject: string, confirms: readonly Confirmation[]): () => Promise<number> {
    const digest = digestOf(bytes);
    const append = appendOnce({
      append: (messageId) => this.#append(bytes, digest, subject, messageId),
      isStored: (sequence) => this.#isStored(digest, sequence),
      newId: () => outcomeMessageId(this.#deps.random(16)),
      service: this.service,
    });
    return async () => {
      const sequence = await append();
      this.stored(sequence, digest, confirms);
      return sequence;
    };
  }

  /** Whether these bytes are at a sequence that the stream has. Fails with `unavailable` while this replica lags. */
  async #isStored(digest: Digest, sequence: number): Promise<boolean> {
    const message = await this.get({ sequence });
    if (message === undefined) throw new AshlarError("unavailable", `sequence ${sequence} is not there yet`);
    return digestOf(message.data) === digest;
  }

  /** Notes that an own record is stored: those that it confirms need no more confirmation, and it needs one. */
  stored(sequence: number, digest: Digest, confirms: readonly Confirmation[]): void {
    this.#unconfirmed.stored(sequence, digest, confirms);
  }

  async #append(bytes: Uint8Array, digest: Digest, subject: string, messageId: string): Promise<Appended> {
    let isDuplicate = false;
    const signed = await this.#signer.sign(bytes, digest);
    const sequence = await this.#deps.bus.append(subject, bytes, {
      headers: withMessageId(messageId, signed),
      onDuplicate: () => {
        isDuplicate = true;
      },
    });
    return { sequence, isDuplicate };
  }

  /**
   * Returns the entry at a sequence. "none": something else is there. "doubtful": it claims to be an entry, and by the
   * present trust no proxy of the service signed it. undefined: this replica has nothing there, which proves nothing.
   */
  async entryAt(sequence: number): Promise<StoredEntry | "none" | "doubtful" | undefined> {
    const known = this.#entries.get(sequence);
    if (known !== undefined) return known;
    const message = await this.get({ sequence });
    if (message === undefined) return (await this.letGo("")).through >= sequence ? "doubtful" : undefined;
    const found = this.#readEntry(message);
    if (found !== undefined) this.#entries.set(sequence, found);
    return found ?? (this.#readEntry(message, false) === undefined ? "none" : "doubtful");
  }

  /** Returns the next valid entry of a key from a sequence on; undefined: this replica has none. */
  async nextEntry(key: string, from: number): Promise<StoredEntry | undefined> {
    const subject = journalSubject(this.service, "entry", key);
    const next = (at: number) => this.get({ nextOf: subject, from: at });
    return this.#walks.find(`entry ${key} ${from}`, from, next, (message) => this.#readEntry(message) ?? "none");
  }

  /** Returns the record that settled an entry, if this replica has it: the first outcome or resolution in the log. */
  async settledBy(sequence: number, key: string): Promise<Settled | undefined> {
    const first = this.#settled.get(sequence) ?? (await this.firstSettled(sequence, key))?.settled;
    if (first === undefined) return undefined;
    this.#settled.set(sequence, first);
    if (first.kind === "outcome") this.valid.set(sequence, key);
    return first;
  }

  /** Returns the same with its own sequence. */
  async firstSettled(sequence: number, key: string): Promise<{ sequence: number; settled: Settled } | undefined> {
    const kinds = ["outcome", "resolution"] as const;
    const about = await Promise.all(kinds.map((kind) => this.#firstAbout(kind, sequence, key)));
    return about.filter((each) => each !== undefined).sort((a, b) => a.sequence - b.sequence)[0];
  }

  /**
   * Returns the head of an order key as far as this replica goes: beginning with the last outcome, each entry that
   * names the head is the next head. Fails with `unavailable` if that takes too long; the next call continues.
   */
  async findHead(key: string): Promise<number> {
    const { clock } = this.#deps;
    const untilMs = clock.monotonicMs() + walkMsMax;
    const told = Math.max(await this.#lastSettled("outcome", key), await this.#lastSettled("resolution", key));
    const letGo = await this.letGo(key);
    const settled = told > letGo.through ? told : letGo.head;
    const walked = this.#walked.get(key) ?? { head: 0, at: 1 };
    let { head, at } = walked.head >= settled ? walked : { head: settled, at: settled + 1 };
    for (;;) {
      const next = await this.nextEntry(key, at);
      if (next === undefined) return head;
      if (mayFollow(head, { isOrdered: true, expected: next.entry.expected })) head = next.sequence;
      at = next.sequence + 1;
      this.#walked.set(key, { head, at });
      if (clock.monotonicMs() >= untilMs)
        throw new AshlarError("unavailable", `an order key of ${this.service}'s journal was read up to sequence ${at}`);
    }
  }

  /** Returns what was removed, as every replica states first, and the head of an order key ("": none) there. */
  letGo(key: string): Promise<LetGoOfKey> {
    const { mesh } = this.#deps.identity.current;
    return readLetGo({ service: this.service, mesh, keys: this.#deps.keys() }, key, (lastOf) => this.get({ lastOf }));
  }

  async #lastSettled(kind: "outcome" | "resolution", key: string): Promise<number> {
    const message = await this.get({ lastOf: journalSubject(this.service, kind, key) });
    if (message === undefined) return 0;
    const settled = this.#readSettled(kind, message);
    if (settled === undefined || !(await this.#isAbout(settled, message, key))) return 0;
    return aboutOf(settled).entry;
  }

  /**
   * Returns whether a record is about an earlier entry of this key with this digest and, if it is an outcome, by the
   * entry's own writer. If this replica lacks the entry, its lag proves nothing, so that counts as yes.
   */
  async #isAbout(settled: Settled, message: StoredMessage, key: string): Promise<boolean> {
    const { entry, entryDigest } = aboutOf(settled);
    if (entry >= message.sequence) return false;
    const found = await this.entryAt(entry);
    if (found === undefined) return true;
    if (typeof found !== "object" || found.key !== key || found.digest !== entryDigest) return false;
    return settled.kind === "resolution" || settled.outcome.proxyId === found.entry.proxyId;
  }

  async #firstAbout(kind: "outcome" | "resolution", sequence: number, key: string) {
    const subject = journalSubject(this.service, kind, key);
    const next = (from: number) => this.get({ nextOf: subject, from });
    return this.#walks.find(`${kind} ${sequence}`, sequence + 1, next, async (message) => {
      const settled = this.#readSettled(kind, message);
      if (settled === undefined) return "none";
      if (aboutOf(settled).entry !== sequence) return "other";
      return (await this.#isAbout(settled, message, key)) ? { sequence: message.sequence, settled } : "none";
    });
  }

  readonly get = (query: StoredQuery): Promise<StoredMessage | undefined> =>
    this.#deps.bus.directGet(this.#stream, query);

  /**
   * Parses an entry. undefined: it is none, or no proxy of the service signed it, so that it does not exist for any
   * reader. `isSigned`: false to parse it whoever signed it.
   */
  #readEntry(message: StoredMessage, isSigned = true): StoredEntry | undefined {
    return this.#reading(() => {
      const place = parseJournalSubject(message.origin?.subject ?? message.subject);
      if (place?.kind !== "entry" || place.service !== this.service) return undefined;
      const { reader } = this.#deps;
      const writer = isSigned ? reader.readJournal(this.service, message, message.storedMs).writer : undefined;
      const entry = parseEntry(message.data, writer, place.key);
      return { sequence: message.sequence, key: place.key, entry, digest: digestOf(message.data) };
    });
  }

  /** Returns whether an entry has this idempotency key and is stored under one of its message ids. */
  isOfKey({ entry }: StoredEntry, messageId: string): boolean {
    return entry.key !== "" && entryMessageId(keyIdOf(entry), entry.afterVoid) === messageId;
  }

  #readSettled(kind: "outcome" | "resolution", message: StoredMessage): Settled | undefined {
    return this.#reading((): Settled | undefined => {
      if (kind === "resolution") {
        const { body } = verifyResolution(message.data, this.#deps.identity.current.mesh, this.#deps.keys());
        if (body.service !== this.service) return undefined; // an operator's word about another journal, copied here
        return { kind: "resolution", notForwarded: false, behind: 0, resolution: body };
      }
      const { writer } = this.#deps.reader.readJournal(this.service, message, message.storedMs);
      const outcome = parseOutcome(message.data, writer);
      return { kind: "outcome", notForwarded: outcome.notForwarded, behind: outcome.behind, outcome };
    });
  }

  #reading<Result>(read: () => Result | undefined): Result | undefined {
    try {
      return read();
    } catch (error) {
      if (isAshlarError(error) && error.code !== "internal") return undefined;
      throw error;
    }
  }
}
