/** One write on its way through the journal: performs the steps that `WriteSteps` asks for. It outlives its caller. */
import { type Digest, digestOf } from "../../core/digest.js";
import { isAshlarError } from "../../core/errors.js";
import { entryMessageId, journalKey, keyIdOf, nonceMessageId } from "../../core/journal/journal-key.js";
import type { JournalPlan } from "../../core/journal/plan.js";
import { type LetGoOfKey, type Results, type Step, type WriteEnd, WriteSteps } from "../../core/journal/write-steps.js";
import { encodeEntryAt, type JournalEntry } from "../../core/wire/journal/entry.js";
import { Backoff } from "../../runtime/backoff.js";
import type { AppResponse, Forwarded } from "./app-attempt.js";
import { type Hidden, isSameRequest } from "./hide.js";
import { JournalReads, poll } from "./journal-reads.js";
import type { Settled, StoredEntry } from "./journal-store.js";
import { buildOutcome, keptOf, notForwardedResponse, type Told } from "./kept-response.js";
import { isOver, type SharedWrites } from "./shared-writes.js";

/** What the gate passes on about a write. */
export interface WriteRequest extends Hidden {
  readonly plan: JournalPlan;
  /** All of the request's messages; those that are stored lack the private fields. */
  readonly request: Uint8Array;
  readonly expected: number | undefined;
  /** When the caller gives up, by the monotonic clock; Infinity: never. */
  readonly dueAtMs: number;
  /** Sends the write to the application, once. */
  forward(sequence: number): Promise<Forwarded>;
  /** Sends an entry of an earlier life again, if its method allows that; undefined: its outcome remains unknown. */
  sendAgain(entry: StoredEntry): Promise<Settled | undefined>;
  /** Returns whether the caller is gone, so that nothing more needs to be appended. */
  readonly hasLeft: () => boolean;
  /** Returns whether the caller was told the end. */
  readonly isTold: () => boolean;
  /** Answers the caller with the application's response, or with an end. Only the first answer counts. */
  tell(end: WriteEnd<Settled> | Told): void;
}

/** The milliseconds that a caller waits for an acknowledgement, and for what another call does. */
export const patienceMs = { append: 5000, other: 10_000 } as const;
/** The milliseconds for which a begun write is carried on, whether somebody waits or not. */
const persistMs = 600_000;
/** The milliseconds that a try may take, with the pause before it. */
const idMarginMs = 20_000;
/** Half of the two minutes within which no stored message is removed: for what a proxy remembers of its own. */
const recentMs = 60_000;
const retry = { msMin: 20, msMax: 2000 };

export class JournaledWrite {
  readonly #request: WriteRequest;
  readonly #shared: SharedWrites;
  /** The id of its idempotency key; "": it has none. */
  readonly #keyId: string;
  readonly #key: string;
  readonly #reads: JournalReads;
  /** The message id under which the entry was tried last. */
  #messageId = "";
  /** The digest of the entry that was tried last. */
  #sent: Digest | undefined;
  #own = 0;
  #response: AppResponse | undefined;
  readonly #onPlaced: () => void;

  /** `onPlaced` is called when its place in its order key is decided, so that the next entry may be appended. */
  constructor(request: WriteRequest, shared: SharedWrites, onPlaced: () => void) {
    this.#request = request;
    this.#shared = shared;
    this.#keyId = request.plan.isKeyed ? keyIdOf(request.entry) : "";
    this.#key = journalKey(request.entry, this.#keyId);
    this.#reads = new JournalReads(shared, this.#key);
    this.#onPlaced = onPlaced;
  }

  /** Carries the write out. Never fails: problems are told to the caller. */
  async run(): Promise<void> {
    const { plan, expected } = this.#request;
    const { running } = this.#shared;
    const nonce = Buffer.from(this.#request.entry.nonce).toString("hex");
    let done = (): void => {};
    running.set(nonce, new Promise((resolve) => (done = resolve)));
    const steps = new WriteSteps<Settled>({ isOrdered: plan.isOrdered, isKeyed: plan.isKeyed, expected }).run();
    try {
      let turn = steps.next(undefined);
      while (turn.done !== true) {
        if (turn.value.kind === "append" && this.#request.hasLeft()) {
          this.#request.tell({ kind: "unavailable" });
          return;
        }
        turn = steps.next(await this.#perform(turn.value));
      }
      this.#tell(turn.value);
    } finally {
      this.#onPlaced();
      running.delete(nonce);
      done();
    }
  }

  #tell(end: WriteEnd<Settled>): void {
    if (end.kind === "applied" && this.#response !== undefined && (end.isDurable || !this.#request.plan.isKeyed))
      this.#request.tell({ kind: "response", sequence: end.sequence, response: this.#response });
    else this.#request.tell(end.kind === "applied" ? { kind: "unknown", sequence: end.sequence } : end);
  }

  /** Not an `async` function, which would wait for the step's own promise with another one. */
  #perform(step: Step): unknown {
    if (step.kind === "forward" || (step.kind === "outcome" && step.sequence < this.#own)) this.#placed();
    switch (step.kind) {
      case "head":
        return this.#head(step.fresh);
      case "append":
        return this.#append(step.expected, step.afterVoid);
      case "entry":
        return this.#entry(step.sequence, step.of);
      case "first-after":
        return this.#reads.firstAfter(step.after, step.until);
      case "let-go":
        return this.#letGo(step.after, step.of);
      case "is-known":
        return this.#reads.isKnown(step.sequence, step.of);
      case "outcome":
        return this.#outcome(step.sequence);
      case "forward":
        return this.#forward(step.sequence);
      case "record":
        return this.#record(step.sequence, step.notForwarded, step.behind);
    }
  }

  /** Notes that its own entry is valid: later entries of this order key come after it. */
  #placed(): void {
    const { store, clock } = this.#shared;
    if (this.#request.plan.isOrdered) {
      store.valid.set(this.#own, this.#key);
      store.validAtMs.set(this.#own, clock.monotonicMs());
      store.heads.set(this.#key, Math.max(this.#own, store.heads.get(this.#key) ?? 0));
    }
    this.#onPlaced();
  }

  async #head(fresh: boolean): Promise<number | undefined> {
    const { store } = this.#shared;
    const known = fresh ? undefined : store.heads.get(this.#key);
    if (known !== undefined) return known;
    const head = await this.#reads.once(() => store.findHead(this.#key));
    if (head !== undefined) store.heads.set(this.#key, head);
    return head;
  }

  /** Appends the entry and persists until it is acknowledged, because the stream may have it already. */
  async #append(expected: number, afterVoid: number): Promise<Results<Settled>["append"]> {
    const { store, clock, random, signal } = this.#shared;
    const { entry, plan } = this.#request;
    const confirms = store.confirmations();
    const bytes = encodeEntryAt(entry, { expected, afterVoid, confirms, outcome: undefined });
    const digest = digestOf(bytes);
    this.#sent = digest;
    const messageId = plan.isKeyed ? entryMessageId(this.#keyId, afterVoid) : nonceMessageId(entry.nonce, expected);
    this.#messageId = messageId;
    const startedMs = clock.monotonicMs();
    // once the stream may have forgotten the id, another try would be another entry
    const appendMsMax = Math.min(persistMs, plan.idsKnownMs - idMarginMs);
    const backoff = new Backoff(retry, random);
    for (;;) {
      try {
        const { sequence, isDuplicate } = await store.appendEntry(bytes, digest, this.#key, messageId);
        this.#reads.noteKey(sequence, this.#key);
        if (!isDuplicate) this.#appended(sequence, confirms);
        return { sequence, isDuplicate };
      } catch (error) {
        const tookMs = clock.monotonicMs() - startedMs;
        const isOpen = isAshlarError(error) && error.code === "unavailable";
        const isLate = tookMs >= patienceMs.append || clock.monotonicMs() >= this.#request.dueAtMs;
        if (!isOpen || isLate) this.#request.tell({ kind: "unavailable" });
        // the first try may still be under way; a full stream or a refusal means that none is
        if (!isOpen || tookMs >= appendMsMax || signal.aborted) return undefined;
      }
      await clock.sleep(backoff.nextMs(), signal);
    }
  }

  #appended(sequence: number, confirms: JournalEntry["confirms"]): void {
    this.#own = sequence;
    if (this.#sent !== undefined) this.#shared.store.stored(sequence, this.#sent, confirms);
  }

  async #entry(sequence: number, of: number): Promise<Results<Settled>["entry"]> {
    const { store, subjectKeys } = this.#shared;
    const found = await this.#reads.until(() => store.entryAt(sequence));
    if (typeof found !== "object") return found;
    if (of !== 0 && found.key !== this.#reads.keyOf(of)) return "none";
    this.#reads.noteKey(sequence, found.key);
    const isOwn = found.digest === this.#sent;
    if (isOwn && this.#own !== sequence) this.#appended(sequence, found.entry.confirms);
    const { order, expected } = found.entry;
    const isOfKey = store.isOfKey(found, this.#messageId);
    // requests are compared with the entry that a key found, not with entries on the way to it, which may be shredded
    const compare = () => isSameRequest(subjectKeys, found.entry, this.#request);
    const isSame = of !== 0 || isOwn || !isOfKey || (await this.#reads.until(compare));
    return isSame === undefined
      ? undefined
      : { isOwn, isOfKey, isOrdered: order !== "", expected, isSameRequest: isSame };
  }

  async #outcome(sequence: number): Promise<Results<Settled>["outcome"]> {
    const { store, clock, running, random, signal } = this.#shared;
    const key = this.#reads.keyOf(sequence);
    const untilMs = Math.min(clock.monotonicMs() + patienceMs.other, this.#request.dueAtMs - 50);
    const first = await this.#reads.once(() => store.entryAt(sequence));
    const own = typeof first === "object" ? running.get(Buffer.from(first.entry.nonce).toString("hex")) : undefined;
    if (own !== undefined) await this.#within(own, untilMs);
    const backoff = new Backoff(poll, random);
    for (;;) {
      const settled = await this.#reads.once(() => store.settledBy(sequence, key));
      if (settled !== undefined) return settled;
      const found = await this.#reads.once(() => store.entryAt(sequence));
      if (found === "doubtful" && (await this.#isLetGo(sequence))) return "let-go";
      if (typeof found === "object" && this.#isAbandoned(found)) return this.#sentAgain(found, untilMs);
      if (clock.monotonicMs() >= untilMs || signal.aborted)
        return typeof found === "object" && isOver(found, this.#shared.clock.nowMs()) ? "unknown" : "in-flight";
      await clock.sleep(Math.min(backoff.nextMs(), Math.max(1, untilMs - clock.monotonicMs())), signal);
    }
  }

  async #sentAgain(entry: StoredEntry, untilMs: number): Promise<Results<Settled>["outcome"]> {
    let settled: Settled | undefined;
    const sent = this.#request.sendAgain(entry).then((by) => {
      settled = by;
    });
    await this.#within(sent, untilMs);
    return settled ?? "unknown";
  }

  /** Returns whether an entry was removed; only settled entries are removed. */
  async #isLetGo(sequence: number): Promise<boolean> {
    return ((await this.#reads.once(() => this.#shared.store.letGo("")))?.through ?? 0) >= sequence;
  }

  /** Returns what was removed. An entry that was valid a moment ago cannot be removed yet, nor can later ones. */
  async #letGo(after: number, of: number): Promise<LetGoOfKey | undefined> {
    const { store, clock } = this.#shared;
    if (clock.monotonicMs() - (store.validAtMs.get(after) ?? Number.NEGATIVE_INFINITY) < recentMs)
      return { through: 0, head: 0 };
    return this.#reads.once(() => store.letGo(this.#reads.keyOf(of)));
  }

  /**
   * Returns whether an entry's writer was an earlier life of this proxy, or an ended call of this life. What another
   * worker does is not known, nor whether the process that this one took over from is gone: its writes get the time of
   * their calls.
   */
  #isAbandoned(found: StoredEntry): boolean {
    const { entry } = found;
    const { running, life, processLife, tookOver } = this.#shared;
    if (entry.proxyId !== this.#request.entry.proxyId) return false;
    if (entry.life === life) return !running.has(Buffer.from(entry.nonce).toString("hex"));
    if (processLife !== "" && entry.life.startsWith(processLife)) return false;
    return !tookOver || isOver(found, this.#shared.clock.nowMs());
  }

  async #within(work: Promise<void>, untilMs: number): Promise<void> {
    const { clock } = this.#shared;
    const over = new AbortController();
    await Promise.race([work, clock.sleep(Math.max(0, untilMs - clock.monotonicMs()), over.signal)]);
    over.abort();
  }

  async #forward(sequence: number): Promise<Results<Settled>["forward"]> {
    const { clock } = this.#shared;
    if (clock.monotonicMs() >= this.#request.dueAtMs || this.#request.isTold()) return "not-forwarded";
    const forwarded = await this.#request.forward(sequence);
    if (forwarded === "lost" || forwarded === "not-forwarded") return forwarded;
    this.#response = forwarded;
    // an outcome that no repeat asks for is recorded after the answer
    if (!this.#request.plan.isKeyed) this.#request.tell({ kind: "response", sequence, response: forwarded });
    return "answered";
  }

  async #record(entry: number, notForwarded: boolean, behind: number): Promise<boolean> {
    const { store, clock, random, signal } = this.#shared;
    const response = notForwarded ? notForwardedResponse : (this.#response ?? notForwardedResponse);
    const backoff = new Backoff(retry, random);
    const startedMs = clock.monotonicMs();
    const confirms = store.confirmations();
    const about = { timeMs: clock.nowMs(), entry, entryDigest: this.#sent, confirms, notForwarded, behind };
    const kept = keptOf(response, this.#request.plan, this.#request.hiding);
    const append = store.outcomeAppender(buildOutcome(this.#request.entry, about, kept), this.#key);
    for (;;) {
      try {
        await append();
        return true;
      } catch {
        const tookMs = clock.monotonicMs() - startedMs;
        if (tookMs >= patienceMs.append) this.#request.tell({ kind: "unknown", sequence: entry });
        if (tookMs >= persistMs || signal.aborted) return false;
      }
      await clock.sleep(backoff.nextMs(), signal);
    }
  }
}
