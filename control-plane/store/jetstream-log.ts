/** One log of signed records: a stream, this control plane's own copy, and the index over both. */
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import type { Signed } from "../../core/model.js";
import { readSubject, streamOf } from "../../core/wire/subjects.js";
import type { BusSubscription, StreamInfo } from "../../runtime/bus.js";
import { IndexedLog } from "./indexed-log.js";
import type { IntentFile } from "./intent-file.js";
import type { JetStreamLogDeps } from "./jetstream-log-deps.js";
import type { RecordLog } from "./ledger.js";
import type { LogBegins } from "./log-begins.js";
import { type LogFiles, openLogFiles } from "./log-files.js";
import { LogIndex } from "./log-index.js";
import type { LogKeys } from "./log-keys.js";
import { conflictAt, isOfOtherLog, type LogLaw } from "./log-laws.js";
import { Mutex } from "./mutex.js";
import { OwnCopy } from "./own-copy.js";
import { StreamView } from "./stream-view.js";

const pollMs = 2000;
const attemptsMax = 16;
const readAhead = 16;

export class JetStreamLog<Body> extends IndexedLog<Body> implements RecordLog<Body> {
  readonly #deps: JetStreamLogDeps;
  readonly #copy: OwnCopy;
  readonly #begins: LogBegins;
  readonly #intent: IntentFile;
  readonly #mutex = new Mutex();
  readonly #stop = new AbortController();
  readonly #updates: BusSubscription;
  readonly #view: StreamView;
  #trouble: string | undefined;
  #copyRead = false;
  #started = false;
  #loops: Promise<unknown> = Promise.resolve();

  private constructor(deps: JetStreamLogDeps, law: LogLaw<Body>, { copy, begins, intent, rivals }: LogFiles) {
    const failed = (error: unknown): void =>
      deps.log.error("a listener of the log failed", { stream: law.name, error: messageOf(error) });
    super(law, new LogIndex(law, deps.mesh, begins.known), failed, rivals);
    this.#deps = deps;
    this.#view = new StreamView(streamOf[law.stream]);
    this.#copy = new OwnCopy(law.name, copy, deps.log);
    this.#begins = begins;
    this.#intent = intent;
    this.#updates = deps.bus.subscribe(readSubject(law.stream, "*"), { queueMax: 16 });
  }

  /** Reads the own copy; nothing is known before `useKeys`, and nothing of the stream before `sync`. */
  static async open<Body>(deps: JetStreamLogDeps, law: LogLaw<Body>): Promise<JetStreamLog<Body>> {
    return new JetStreamLog(deps, law, await openLogFiles(deps.dir, law.name));
  }

  problems(): readonly string[] {
    const lost = this.#view.problem(this.list());
    const lines = [this.#trouble, ...this.#copy.problems(), this.rivals.trouble, lost, ...this.index.problems()];
    return lines.filter((line) => line !== undefined);
  }

  override lack(): string | undefined {
    return this.#view.lack(this.list());
  }

  /** Uses new keys, and judges again the records that were skipped because their key was not known. */
  useKeys(keys: LogKeys): void {
    this.#tellLate(this.index.useKeys(keys));
    if (this.#copyRead) return;
    this.#copyRead = true;
    for (const bytes of this.#copy.records) this.index.offer(bytes, { verifiedBefore: true });
  }

  /** Accepts a record that a dropped key signed, because a record of another log names its digest. */
  endorse(digest: Digest): void {
    this.#tellLate(this.index.endorse(digest));
  }

  /** Announces records that were adopted after they were read, and copies them. */
  #tellLate(records: readonly Signed<Body>[]): void {
    if (records.length === 0) return;
    this.tell(records);
    void this.#mutex.run(() => this.#copyHistory());
  }

  #copyHistory(): Promise<void> {
    return this.#copy.addAll(this.index.list());
  }

  /** Fails unless everything acknowledged is on the own disk: nothing more is appended before it is copied. */
  async #requireCopy(): Promise<void> {
    if (this.#copy.trouble !== undefined) await this.#copyHistory();
    if (this.#copy.trouble !== undefined) throw this.#copy.trouble;
    if (this.#intent.pending !== undefined) await this.#intent.clear();
  }

  /** Starts to follow what other control planes append. */
  follow(): void {
    const { signal } = this.#stop;
    const sync = (): Promise<void> =>
      this.sync().catch((error: unknown) => {
        this.#trouble = `${this.law.name}: cannot be read: ${messageOf(error)}`;
      });
    const listen = async (): Promise<void> => {
      for await (const _message of this.#updates) await sync();
    };
    const poll = async (): Promise<void> => {
      while (!signal.aborted) {
        await this.#deps.clock.sleep(pollMs, signal);
        if (!signal.aborted && this.#deps.bus.connected) await sync();
      }
    };
    this.#loops = Promise.all([listen(), poll()]);
  }

  /** Reads what is new in the stream, and gives the stream what it lacks. */
  sync(): Promise<void> {
    return this.#mutex.run(() => this.#sync());
  }

  async #sync(): Promise<void> {
    const { stream } = this.#view;
    const info = (await this.#deps.bus.streamInfo(stream)) ?? (await this.#recreated(stream));
    if (this.#view.isOther(info) || (await this.#givesAgain())) {
      if (this.#view.isKnown) this.#deps.log.error("a stream was replaced: reading it from the start", { stream });
      this.#view.begin(info);
    }
    await this.#read(info.lastSequence);
    if (this.head() === undefined) this.tell(await this.#beginAhead()); // as another control plane did
    if (!this.#started) this.tell(this.offerRivals());
    await this.rivals.note((digest) => this.#view.has(digest), !this.#started);
    await this.#copyHistory();
    await this.#restore();
    this.#started ||= this.#copy.trouble === undefined; // until then the intent of the last run is not settled
    this.#trouble = undefined;
  }

  /** Whether the stream gives a record that it did not: its store was repaired, or its leader was behind. */
  async #givesAgain(): Promise<boolean> {
    const { firstMissing: sequence, stream } = this.#view;
    return sequence !== undefined && (await this.#deps.bus.leaderGet(stream, { sequence })) !== undefined;
  }

  async #recreated(stream: string): Promise<StreamInfo> {
    this.#deps.log.error("a stream does not exist any more", { stream });
    await this.#deps.recreateStreams?.();
    const info = await this.#deps.bus.streamInfo(stream);
    if (info !== undefined) return info;
    throw new AshlarError("unavailable", `stream ${stream} is gone; restart the control plane to have it made anew`);
  }

  /** Reads up to `last` from the leader, a few at a time, in order. */
  async #read(last: number): Promise<void> {
    const { bus } = this.#deps;
    const { missing, stream } = this.#view;
    while (this.#view.lastSequence < last) {
      const count = Math.min(readAhead, last - this.#view.lastSequence);
      const first = this.#view.lastSequence + 1;
      const messages = await Promise.all(
        Array.from({ length: count }, (_, i) => bus.leaderGet(stream, { sequence: first + i })),
      );
      for (const [i, message] of messages.entries()) {
        if (message === undefined) this.#view.gaveNothing(first + i);
        else await this.#take(message.data, first + i);
      }
      this.#view.lastSequence += count;
    }
    const why = this.#view.missing > missing ? this.#view.problem(this.list()) : undefined;
    if (why !== undefined) this.#deps.log.error("a stream lost records", { why });
  }

  /** Judges a record that the stream holds, at `sequence` if it gives it; copies it to disk, then announces it. */
  async #take(bytes: Uint8Array, sequence: number | undefined): Promise<void> {
    const digest = digestOf(bytes);
    if (isOfOtherLog(this.law, bytes)) {
      if (sequence !== undefined) this.#view.gaveOther(digest, sequence);
      return;
    }
    if (sequence !== undefined) this.#view.gave(digest, sequence);
    const offered = this.index.offer(bytes);
    if (offered.kind === "refused") {
      this.#deps.log.error("an invalid record is skipped", { stream: this.law.name, why: offered.why });
      return;
    }
    // the own copy counts as verified, so a record that only a dropped key signed must not get there
    if (offered.kind === "adopted" || offered.kind === "kept") await this.#copy.add({ digest, bytes });
    if (offered.kind === "adopted") this.tell(offered.records);
  }

  /** Appends, byte for byte, the history that the stream lacks, and an own append whose outcome is not known. */
  async #restore(): Promise<void> {
    const lacking = this.index.list().filter((record) => !this.#view.has(record.digest));
    const intent = this.#intent.pending;
    for (const record of lacking) {
      if (this.#view.keepsNothing) return;
      const number = this.law.keyOf(record.body);
      this.#deps.log.warn("the stream lacks a record: appending it again", { stream: this.law.name, number });
      await this.#commit(number, record.bytes);
    }
    if (this.#view.missing > 0) await this.#repeatHead(lacking);
    if (intent !== undefined && this.#copy.trouble === undefined && this.lack() === undefined)
      await this.#settle(intent);
  }

  /**
   * Completes an append that a crash cut short, if it still fits: proxies may have seen it before its stream was lost.
   * An append that fails while this process runs is not completed, because its caller was told so.
   */
  async #settle(bytes: Uint8Array): Promise<void> {
    const next = this.#started ? undefined : this.index.preview(bytes);
    if (next !== undefined && this.law.follows(this.head(), next.body)) {
      await this.#commit(this.law.keyOf(next.body), bytes, () => this.law.follows(this.head(), next.body));
    }
    await this.#intent.clear();
  }

  recover(records: readonly Uint8Array[], pastGaps: boolean): Promise<number> {
    return this.#mutex.run(async () => {
      const adopted = await this.takeBack(records);
      if (pastGaps) adopted.push(...(await this.#beginAhead()));
      const storing = this.#copyHistory().then(() => this.#restore());
      await storing.then(() => this.#repeatHead(adopted)).finally(() => this.tell(adopted));
      return adopted.length;
    });
  }

  /** Continues past what is lost, and stores that on disk before anything is built on it. */
  async #beginAhead(): Promise<readonly Signed<Body>[]> {
    const begun = this.index.beginAhead();
    if (begun.length > 0) await this.#begins.save(this.index.begins);
    return begun;
  }

  /** Appends the head again after older records: readers take the last record of a stream for the head. */
  async #repeatHead(restored: readonly Signed<Body>[]): Promise<void> {
    const head = this.head();
    if (head === undefined || restored.length === 0 || restored.includes(head) || this.#view.keepsNothing) return;
    await this.#commit(this.law.keyOf(head.body), head.bytes);
  }

  append(next: Signed<Body>): Promise<void> {
    return this.#mutex.run(async () => {
      const key = this.law.keyOf(next.body);
      const lack = this.lack();
      if (lack !== undefined) throw new AshlarError("stale", lack);
      if (!this.law.follows(this.head(), next.body)) throw conflictAt(this.law, this.head(), key);
      if (this.index.preview(next.bytes) === undefined) {
        throw new AshlarError("denied", `${this.law.name}: signed by a key that this mesh does not trust now`);
      }
      await this.#requireCopy();
      await this.#intent.write(next.bytes);
      try {
        await this.#commit(key, next.bytes, () => this.law.follows(this.head(), next.body));
      } catch (error) {
        if (this.find(key)?.digest !== next.digest) {
          if (!isAshlarError(error, "unavailable")) await this.#intent.clear();
          throw error;
        }
      }
      // a record that the copy lacks stays on this disk; a disk that fails now fails the next append
      if (this.#copy.trouble === undefined) await this.#intent.clear().catch(() => {});
      if (this.find(key)?.digest !== next.digest) throw conflictAt(this.law, this.head(), key);
    });
  }

  /** Appends by compare-and-set on the last sequence; reads what came in between, and repeats while `stillWanted`. */
  async #commit(key: number, bytes: Uint8Array, stillWanted: () => boolean = () => true): Promise<void> {
    const { bus } = this.#deps;
    const digest = digestOf(bytes);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const expectLastSequence = this.#view.lastSequence;
        const sequence = await bus.append(this.law.subjectOf(key), bytes, { expectLastSequence });
        // a store that lost records may also lose this one, which it has acknowledged
        const given = this.#view.missing === 0 || (await bus.leaderGet(this.#view.stream, { sequence })) !== undefined;
        if (!given) this.#view.lostAtOnce(digest, sequence);
        await this.#take(bytes, given ? sequence : undefined);
        this.#view.lastSequence = Math.max(this.#view.lastSequence, sequence);
        return;
      } catch (error) {
        if (!isAshlarError(error, "conflict") && !isAshlarError(error, "unavailable")) throw error;
        const info = await bus.streamInfo(this.#view.stream);
        if (info !== undefined) await this.#read(info.lastSequence);
        if (this.#view.has(digest)) return;
        if (!isAshlarError(error, "conflict")) throw error;
        if (!stillWanted() || attempt >= attemptsMax) throw conflictAt(this.law, this.head(), key);
      }
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#updates.close();
    await this.#loops;
    await this.#mutex.run(() => Promise.all([this.#copy.close(), this.#intent.close()]));
  }
}
