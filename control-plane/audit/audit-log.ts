/**
 * The audit log: one hash chain that all control planes of a mesh write to. An entry is in this control plane's own
 * fsynced file before the recorded action is answered. It gets its place in the chain by compare-and-set on the stream,
 * at once if NATS is there, otherwise when NATS is back.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { encodeAuditEntry } from "../../core/wire/audit.js";
import { auditStream, auditSubject } from "../../core/wire/subjects.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Bus } from "../../runtime/bus.js";
import { type Clock, systemClock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { Mutex } from "../store/mutex.js";
import { type AuditFile, openAuditFile, type UnplacedEntry } from "./audit-file.js";
import type { AuditDraft, AuditList, AuditQuery, AuditTrail } from "./audit-trail.js";
import { ShownEntries, shownMax } from "./shown-entries.js";

export interface AuditLogOptions {
  readonly bus: Bus;
  /** The folder of the own file, DIR/audit.log. */
  readonly dir: string;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random: (count: number) => Uint8Array;
}

export interface AuditLog extends AuditTrail {
  /** Returns the newest entries of all control planes; at most `shownMax` (10 000) are kept in memory. */
  list(query: AuditQuery): Promise<AuditList>;
  /** The newest entry that has its place; undefined: there is none. */
  head(): { readonly sequence: number; readonly digest: Digest; readonly action: string } | undefined;
  /** Returns the present problems, one line each. */
  problems(): readonly string[];
  /** Stops placing entries in the chain. Entries without a place get one after the next start. */
  close(): Promise<void>;
}

const unplacedMax = 20_000; // in memory; further ones are only on disk until there is room
const unplacedOnDiskMax = 200_000;
const attemptsMax = 64;
const readAhead = 16;
const batchMax = 256;
const fileBytesMax = 64 * 1024 * 1024;

/** Opens the audit log and reads it from NATS; without NATS it begins with the own file. */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  const opened = new ChainedAuditLog(options, await openAuditFile(join(options.dir, "audit.log"), fileBytesMax));
  await opened.start();
  return opened;
}

class ChainedAuditLog implements AuditLog {
  readonly #bus: Bus;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #random: (count: number) => Uint8Array;
  readonly #file: AuditFile;
  readonly #mutex = new Mutex();
  readonly #stop = new AbortController();
  readonly #shown = new ShownEntries();
  /** Entries without a place by id, oldest first. */
  readonly #unplaced = new Map<string, UnplacedEntry>();
  #onDiskOnly = 0;
  #created: string;
  #lastSequence: number;
  #dropped = 0;
  #foreign = 0;
  #trouble: string | undefined;
  #fileTrouble: string | undefined;
  #placing: Promise<void> | undefined;

  constructor(options: AuditLogOptions, file: AuditFile) {
    this.#bus = options.bus;
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random;
    this.#file = file;
    const { placed, position } = file.contents;
    this.#created = position.created;
    this.#lastSequence = position.sequence;
    for (const bytes of placed.slice(-shownMax)) this.#show(bytes);
    this.#takeUnplaced(file.contents.unplaced);
  }

  #takeUnplaced(entries: readonly UnplacedEntry[]): void {
    for (const entry of entries.slice(0, unplacedMax)) this.#unplaced.set(entry.id, entry);
    this.#onDiskOnly = Math.max(0, entries.length - unplacedMax);
  }

  async start(): Promise<void> {
    if (this.#bus.connected) {
      await this.#mutex.run(() => this.#sync()).catch((error: unknown) => this.#complain(error));
    }
    this.#place();
  }

  #complain(error: unknown): void {
    this.#trouble = `audit: ${messageOf(error)}`;
    this.#log.warn("the audit log cannot be reached", { error: messageOf(error) });
  }

  /** Shows an entry that has its place, of this or another control plane. */
  #show(bytes: Uint8Array): void {
    try {
      this.#unplaced.delete(this.#shown.add(bytes).id);
    } catch (error) {
      this.#log.error("an audit entry cannot be read", { error: messageOf(error) });
    }
  }

  /** Reads new entries. A stream that is not the one from before first gets back what it lacks of the own file. */
  async #sync(): Promise<void> {
    const info = await this.#bus.streamInfo(auditStream);
    if (info === undefined) throw new AshlarError("unavailable", `stream ${auditStream} is gone`);
    if (info.created !== this.#created || info.lastSequence < this.#lastSequence) {
      const lost = this.#created === "" ? [] : (await this.#file.read()).placed;
      await this.#refill(lost);
      // only now: if the process is killed before, the next start sees another stream again and fills it completely
      await this.#file.beginStream(info.created, this.#lastSequence);
      this.#created = info.created;
    } else await this.#read(info.lastSequence, new Set());
    this.#trouble = undefined;
  }

  async #refill(entries: readonly Uint8Array[]): Promise<void> {
    const own = new Map(entries.map((bytes) => [digestOf(bytes), bytes]));
    const inStream = new Set<Digest>();
    this.#lastSequence = 0;
    for (const [digest, bytes] of [[undefined, undefined] as const, ...own]) {
      for (;;) {
        const info = await this.#bus.streamInfo(auditStream);
        await this.#read(info?.lastSequence ?? 0, inStream);
        if (digest === undefined || bytes === undefined || inStream.has(digest)) break;
        try {
          this.#lastSequence = await this.#bus.append(auditSubject, bytes, { expectLastSequence: this.#lastSequence });
          inStream.add(digest);
          await this.#copy(this.#lastSequence, bytes);
        } catch (error) {
          if (!isAshlarError(error, "conflict")) throw error;
        }
      }
    }
  }

  async #read(last: number, inStream: Set<Digest>): Promise<void> {
    while (this.#lastSequence < last) {
      const first = this.#lastSequence + 1;
      const count = Math.min(readAhead, last - this.#lastSequence);
      const messages = await Promise.all(
        Array.from({ length: count }, (_, i) => this.#bus.leaderGet(auditStream, { sequence: first + i })),
      );
      const copied: Promise<void>[] = [];
      for (const message of messages) {
        if (message === undefined) continue;
        if (message.relayed) {
          // no control plane published it: somebody pointed an answer of the server at the log's subject
          this.#foreign += 1;
          continue;
        }
        const digest = digestOf(message.data);
        inStream.add(digest);
        copied.push(this.#copy(message.sequence, message.data));
        this.#show(message.data);
      }
      await Promise.all(copied);
      this.#lastSequence += count;
    }
  }

  /** Copies an entry to the own file. A failure is logged and stops nothing, because the stream has the entry. */
  async #copy(sequence: number, bytes: Uint8Array): Promise<void> {
    try {
      await this.#file.addPlaced(sequence, bytes);
    } catch (error) {
      this.#noteFile(error);
    }
  }

  #noteFile(error: unknown): void {
    this.#fileTrouble = `audit: the own file cannot be written: ${messageOf(error)}`;
  }

  async record(draft: AuditDraft): Promise<void> {
    if (this.#unplaced.size + this.#onDiskOnly >= unplacedOnDiskMax) {
      this.#dropped += 1;
      this.#log.error("an audit entry is lost: too many wait for NATS", { ...draft });
      return;
    }
    const id = Buffer.from(this.#random(16)).toString("hex");
    const entry = { ...draft, timeMs: this.#clock.nowMs(), id };
    // in the order of the file: entries that are only on disk come after those in memory
    if (this.#onDiskOnly > 0 || this.#unplaced.size >= unplacedMax) this.#onDiskOnly += 1;
    else this.#unplaced.set(id, entry);
    try {
      await this.#file.addUnplaced(entry);
      this.#fileTrouble = undefined;
    } catch (error) {
      this.#noteFile(error);
      this.#log.error("an audit entry is kept only in memory until NATS stores it", {
        error: messageOf(error),
        ...draft,
      });
    }
    this.#place();
  }

  /** Gives entries their place in the chain, in the background, until all have one. */
  #place(): void {
    if (this.#unplaced.size === 0 || this.#stop.signal.aborted) return;
    this.#placing ??= this.#placeAll().finally(() => {
      this.#placing = undefined;
      this.#place(); // for entries that were added while the last run ended
    });
  }

  async #placeAll(): Promise<void> {
    const backoff = new Backoff({ msMin: 200, msMax: 10_000 });
    const { signal } = this.#stop;
    while (this.#unplaced.size > 0 && !signal.aborted) {
      try {
        if (!this.#bus.connected) throw new AshlarError("unavailable", "NATS is away");
        await this.#mutex.run(() => this.#placeSome());
        backoff.reset();
      } catch (error) {
        if (this.#trouble === undefined) this.#complain(error);
        await this.#clock.sleep(backoff.nextMs(), signal);
      }
    }
  }

  /** Places one batch, oldest first, then loads entries that are only on disk if there is room. */
  async #placeSome(): Promise<void> {
    const copied: Promise<void>[] = [];
    await this.#sync(); // some may have their place already, if the answer to their append was lost
    for (const entry of [...this.#unplaced.values()].slice(0, batchMax)) {
      if (this.#unplaced.has(entry.id)) copied.push(...(await this.#placeOne(entry)));
    }
    await Promise.all(copied);
    this.#trouble = undefined;
    await this.#file.compact().catch((error: unknown) => this.#noteFile(error));
    if (this.#unplaced.size === 0 && this.#onDiskOnly > 0) this.#takeUnplaced((await this.#file.read()).unplaced);
  }

  async #placeOne(unplaced: UnplacedEntry): Promise<Promise<void>[]> {
    for (let attempt = 1; ; attempt += 1) {
      const { head } = this.#shown;
      const sequence = (head?.entry.sequence ?? 0) + 1;
      const bytes = encodeAuditEntry({ ...unplaced, sequence, previous: head?.digest });
      try {
        const at = await this.#bus.append(auditSubject, bytes, { expectLastSequence: this.#lastSequence });
        this.#lastSequence = at;
        this.#show(bytes);
        return [this.#copy(at, bytes)];
      } catch (error) {
        if (!isAshlarError(error, "conflict") || attempt >= attemptsMax) throw error;
        await this.#sync();
        if (!this.#unplaced.has(unplaced.id)) return [];
      }
    }
  }

  async list(query: AuditQuery): Promise<AuditList> {
    if (this.#bus.connected) {
      const place = () => (this.#unplaced.size > 0 ? this.#placeSome() : this.#sync());
      await this.#mutex.run(place).catch((error: unknown) => this.#complain(error));
    }
    return this.#shown.list(query);
  }

  head(): ReturnType<AuditLog["head"]> {
    const { head } = this.#shown;
    return head && { sequence: head.entry.sequence, digest: head.digest, action: head.entry.action };
  }

  problems(): readonly string[] {
    const problems = [this.#trouble, this.#fileTrouble, this.#file.damage].filter((line) => line !== undefined);
    const waiting = this.#unplaced.size + this.#onDiskOnly;
    if (waiting > 0 && this.#trouble !== undefined) problems.push(`audit: ${waiting} entries wait for NATS`);
    if (this.#dropped > 0) problems.push(`audit: ${this.#dropped} entries were lost`);
    const { unreadable } = this.#shown;
    if (unreadable > 0) problems.push(`audit: ${unreadable} entries cannot be read`);
    if (this.#foreign > 0) problems.push(`audit: ${this.#foreign} entries that no control plane wrote are skipped`);
    return problems;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#placing;
    if (this.#bus.connected && this.#unplaced.size > 0) {
      // the entry is on disk, so the next start continues
      await this.#mutex.run(() => this.#placeSome()).catch(() => {});
    }
    await this.#mutex.run(() => this.#file.close());
  }
}
