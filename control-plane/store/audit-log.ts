/** The audit log on JetStream: hash-chained entries, with this control plane's own fsynced copy. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { type AuditEntry, encodeAuditEntry, parseAuditEntry } from "../../core/wire/audit.js";
import { auditStream, auditSubject } from "../../core/wire/subjects.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Bus } from "../../runtime/bus.js";
import { type Clock, systemClock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { AuditDraft, AuditList, AuditQuery, AuditTrail } from "../audit/audit-trail.js";
import { type AuditCopy, openAuditCopy } from "./audit-copy.js";
import { Mutex } from "./mutex.js";

export interface AuditLogOptions {
  readonly bus: Bus;
  /** The own copy is DIR/audit.log. */
  readonly dir: string;
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface AuditLog extends AuditTrail {
  /** The newest entries, own and of other control planes; at most `shownMax` (10 000) are kept at hand. */
  list(query: AuditQuery): Promise<AuditList>;
  /** What is wrong now, for people. */
  problems(): readonly string[];
  close(): Promise<void>;
}

const shownMax = 10_000;
const waitingMax = 10_000;
const attemptsMax = 64;
const readAhead = 16;

interface Known {
  readonly entry: AuditEntry;
  readonly digest: Digest;
}

interface Waiting {
  readonly draft: AuditDraft;
  readonly timeMs: number;
}

/** Opens the audit log and reads it, where NATS is there; without NATS it begins with the own copy. */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  const opened = new JetStreamAuditLog(options, await openAuditCopy(join(options.dir, "audit.log"), shownMax));
  await opened.start();
  return opened;
}

class JetStreamAuditLog implements AuditLog {
  readonly #bus: Bus;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #copy: AuditCopy;
  readonly #mutex = new Mutex();
  readonly #stop = new AbortController();
  #shown: Known[] = [];
  readonly #waiting: Waiting[] = [];
  #created: string;
  #lastSequence: number;
  #dropped = 0;
  #unreadable = 0;
  #foreign = 0;
  #trouble: string | undefined;
  #draining: Promise<void> = Promise.resolve();
  #isDraining = false;

  constructor(options: AuditLogOptions, copy: AuditCopy) {
    this.#bus = options.bus;
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#copy = copy;
    this.#created = copy.position.created;
    this.#lastSequence = copy.position.sequence;
    for (const bytes of copy.newest) this.#show(bytes);
  }

  async start(): Promise<void> {
    if (!this.#bus.connected) return;
    await this.#mutex.run(() => this.#sync()).catch((error: unknown) => this.#complain(error));
  }

  #complain(error: unknown): void {
    this.#trouble = `audit: ${messageOf(error)}`;
    this.#log.warn("the audit log cannot be reached", { error: messageOf(error) });
  }

  #show(bytes: Uint8Array): void {
    try {
      this.#shown.push({ entry: parseAuditEntry(bytes), digest: digestOf(bytes) });
    } catch (error) {
      this.#unreadable += 1;
      this.#log.error("an audit entry cannot be read", { error: messageOf(error) });
    }
    if (this.#shown.length > shownMax * 1.25) this.#shown = this.#shown.slice(-shownMax);
  }

  /** Reads what is new; a stream that is another than before first gets back what the own copy has and it lacks. */
  async #sync(): Promise<void> {
    const info = await this.#bus.streamInfo(auditStream);
    if (info === undefined) throw new AshlarError("unavailable", `stream ${auditStream} is gone`);
    if (info.created !== this.#created || info.lastSequence < this.#lastSequence) {
      await this.#copy.beginStream(info.created);
      await this.#refill(this.#created === "" ? [] : await this.#copy.readAll());
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
        await this.#read(info?.lastSequence ?? 0, inStream, own);
        if (digest === undefined || bytes === undefined || inStream.has(digest)) break;
        try {
          this.#lastSequence = await this.#bus.append(auditSubject, bytes, { expectLastSequence: this.#lastSequence });
          inStream.add(digest);
          await this.#copy.append(this.#lastSequence, bytes);
        } catch (error) {
          if (!isAshlarError(error, "conflict")) throw error;
        }
      }
    }
  }

  async #read(last: number, inStream: Set<Digest>, known: ReadonlyMap<Digest, unknown> = new Map()): Promise<void> {
    while (this.#lastSequence < last) {
      const first = this.#lastSequence + 1;
      const count = Math.min(readAhead, last - this.#lastSequence);
      const messages = await Promise.all(
        Array.from({ length: count }, (_, i) => this.#bus.leaderGet(auditStream, { sequence: first + i })),
      );
      for (const message of messages) {
        if (message === undefined) continue;
        if (message.relayed) {
          this.#foreign += 1; // no control plane published it: somebody pointed an answer of the server at the log
          continue;
        }
        const digest = digestOf(message.data);
        inStream.add(digest);
        await this.#copy.append(message.sequence, message.data);
        if (!known.has(digest)) this.#show(message.data);
      }
      this.#lastSequence += count;
    }
  }

  async record(draft: AuditDraft): Promise<void> {
    if (this.#waiting.length >= waitingMax) {
      this.#dropped += 1;
      this.#log.error("an audit entry is lost: too many are waiting to be stored", { ...draft });
      return;
    }
    this.#waiting.push({ draft, timeMs: this.#clock.nowMs() });
    await this.#mutex.run(() => this.#flush()).catch((error: unknown) => this.#storeLater(error));
  }

  /** Stores what waits, oldest first. */
  async #flush(): Promise<void> {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      await this.#store(next);
      this.#waiting.shift();
    }
    this.#trouble = undefined;
  }

  async #store({ draft, timeMs }: Waiting): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      await this.#sync();
      const head = this.#shown.at(-1);
      const sequence = (head?.entry.sequence ?? 0) + 1;
      const bytes = encodeAuditEntry({ ...draft, sequence, previous: head?.digest, timeMs });
      try {
        const at = await this.#bus.append(auditSubject, bytes, { expectLastSequence: this.#lastSequence });
        await this.#copy.append(at, bytes);
        this.#lastSequence = at;
        this.#show(bytes);
        return;
      } catch (error) {
        if (!isAshlarError(error, "conflict") || attempt >= attemptsMax) throw error;
      }
    }
  }

  #storeLater(error: unknown): void {
    this.#complain(error);
    if (this.#isDraining || this.#stop.signal.aborted) return;
    this.#isDraining = true;
    this.#draining = this.#drain().finally(() => {
      this.#isDraining = false;
    });
  }

  async #drain(): Promise<void> {
    const backoff = new Backoff({ msMin: 200, msMax: 10_000 });
    while (this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      await this.#clock.sleep(backoff.nextMs(), this.#stop.signal);
      if (this.#stop.signal.aborted || !this.#bus.connected) continue;
      await this.#mutex.run(() => this.#flush()).catch((error: unknown) => this.#complain(error));
    }
  }

  async list({ sinceMs, limit }: AuditQuery): Promise<AuditList> {
    await this.start();
    const listed = this.#shown.filter(({ entry }) => entry.timeMs >= sinceMs).slice(-Math.min(limit, shownMax));
    const from = listed[0] === undefined ? 0 : this.#shown.indexOf(listed[0]);
    const until = listed.length === 0 ? 0 : this.#shown.indexOf(listed.at(-1) as Known) + 1;
    const chainHolds = this.#unreadable === 0 && holds(this.#shown.slice(Math.max(0, from - 1), until));
    return { entries: listed.map(({ entry }) => entry), chainHolds };
  }

  problems(): readonly string[] {
    const problems = [this.#trouble, this.#copy.damage].filter((line) => line !== undefined);
    if (this.#waiting.length > 0) problems.push(`audit: ${this.#waiting.length} entries wait to be stored`);
    if (this.#dropped > 0) problems.push(`audit: ${this.#dropped} entries were lost`);
    if (this.#unreadable > 0) problems.push(`audit: ${this.#unreadable} entries cannot be read`);
    if (this.#foreign > 0) problems.push(`audit: ${this.#foreign} entries that no control plane wrote are skipped`);
    return problems;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#draining;
    await this.#mutex.run(() => this.#copy.close());
  }
}

/** Each entry follows the one before it. */
function holds(known: readonly Known[]): boolean {
  return known.every(({ entry }, index) => {
    const before = known[index - 1];
    if (before === undefined) return entry.sequence > 1 || entry.previous === undefined;
    return entry.sequence === before.entry.sequence + 1 && entry.previous === before.digest;
  });
}
