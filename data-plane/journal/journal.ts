/** The writes of a service with a journal: its calls wait at a gate until their outcome is known. */
import { digestOf } from "../../core/digest.js";
import { messageOf } from "../../core/errors.js";
import { journalKey, nonceMessageId } from "../../core/journal/journal-key.js";
import type { JournalPlan } from "../../core/journal/plan.js";
import type { WriteEnd } from "../../core/journal/write-steps.js";
import type { Signed, Trust } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";
import { encodeEntryAt } from "../../core/wire/journal/entry.js";
import { keySetOf } from "../../core/wire/records.js";
import type { CallPolicy } from "../ports.js";
import { noRoomAnswer, unavailableAnswer } from "../proxy/answer.js";
import type { CallGate } from "../proxy/call-side.js";
import type { Call } from "../proxy/forward/call.js";
import type { Journaling } from "../proxy/inbound.js";
import type { StreamWaiter } from "../proxy/stream-queue.js";
import { type AppResponse, forwardOnce, openAttempt, type RunningAttempt } from "./app-attempt.js";
import type { CollectedWrite } from "./collected-write.js";
import { type Hidden, type HidingDeps, hideWrite } from "./hide.js";
import { endAnswer, notCollectedAnswer, replyAnswer } from "./journal-answers.js";
import { JournalCounts, type JournalSources } from "./journal-counts.js";
import { JournalGate } from "./journal-gate.js";
import { JournalStore, type JournalStoreDeps, type Settled, type StoredEntry } from "./journal-store.js";
import { JournaledWrite, patienceMs } from "./journaled-write.js";
import { buildOutcome, keptOf, type Told } from "./kept-response.js";
import { OrderTurns } from "./order-turns.js";
import { SentAgain } from "./sent-again.js";
import type { SharedWrites } from "./shared-writes.js";
import { type StreamingOptions, StreamingRequest } from "./streaming-request.js";
import { SubjectKeys } from "./subject-keys.js";
import { responseReserveBytes, roomBytesDefault, WriteRoom } from "./write-room.js";

export interface JournalDeps extends JournalStoreDeps, HidingDeps {
  readonly policy: Pick<CallPolicy, "current">;
  /** True if this process took over from another one of the same proxy, which may still carry writes. */
  readonly tookOver: boolean;
  /** Aborts when the proxy stops. */
  readonly signal: AbortSignal;
  /** The most writes at once; further ones are answered 8 before anything is appended (4096). */
  readonly writesMax?: number;
  /** The bytes of memory for the messages of all writes, requests and responses (128 MiB). */
  readonly roomBytes?: number;
}

/** This process, as one of the workers that carry writes. */
export interface AmongWorkers {
  /** The part of `life` that all workers of one first process share; "": there are no workers. */
  readonly processLife: string;
  readonly workers: number;
}

export const processLifeBytes = 8;

/** Returns the keys with which control planes sign, by the trust record in force. */
export const keysOf = (trust: Signed<Trust> | undefined): KeySet =>
  trust === undefined ? new Map() : keySetOf(trust.body);

const writesMaxDefault = 4096;
/** What an outcome says of a write that was forwarded. */
const notBehind = { notForwarded: false, behind: 0 };
/**
 * The milliseconds after which a stream without messages is given up. Removals of a journal spare streams that are less
 * than a day old.
 */
const idleMs = { other: 3_600_000, bidirectional: 12 * 3_600_000 };

export class Journal implements Journaling, JournalSources {
  readonly #deps: JournalDeps;
  readonly #shared: SharedWrites;
  readonly #turns = new OrderTurns();
  readonly #again: SentAgain;
  /** The number of writes under way, including those that wait for their turn in an order key. */
  #writes = 0;
  readonly room: WriteRoom;
  readonly counts = new JournalCounts();

  constructor(deps: JournalDeps, service: string, among: AmongWorkers = { processLife: "", workers: 1 }) {
    const { processLife, workers } = among;
    this.#deps = deps;
    this.room = new WriteRoom(Math.ceil((deps.roomBytes ?? roomBytesDefault) / workers));
    this.#shared = {
      store: new JournalStore(deps, service),
      subjectKeys: new SubjectKeys(deps, service),
      clock: deps.clock,
      random: () => deps.random(4).readUInt32LE() / 2 ** 32,
      running: new Map(),
      life: processLife + deps.random(16).toString("hex").slice(processLife.length),
      processLife,
      tookOver: deps.tookOver,
      signal: deps.signal,
    };
    this.#again = new SentAgain({ store: this.#shared.store, clock: deps.clock, room: this.room, signal: deps.signal });
  }

  gateFor(call: Call, plan: JournalPlan, acquire: (waiter: StreamWaiter) => boolean): CallGate {
    return new JournalGate(call, plan, {
      room: this.room,
      counts: this.counts,
      begin: (write) => this.#begin(write, acquire),
      stream: (write, onStored) => this.#stream(write, onStored),
      beginStream: (write, streaming, onTaken) => this.#beginStream(write, streaming, acquire, onTaken),
      failed: (write, error) => this.#failed(write, error),
    });
  }

  /** Begins a request of several messages. */
  #stream(write: CollectedWrite, onStored: StreamingOptions["onStored"]): StreamingRequest {
    const { identity, random } = this.#deps;
    const { proxyId, service } = identity.current;
    const { requestBytesMax: messageBytesMax, streamBytesMax: bytesMax = messageBytesMax } = write.plan;
    const nonce = random(16);
    write.nonce = nonce;
    const { dueAtMs } = write;
    const idleMsMax = write.isBidirectional ? idleMs.bidirectional : idleMs.other;
    const options = { service, proxyId, nonce, messageBytesMax, bytesMax, dueAtMs, idleMsMax, onStored };
    return new StreamingRequest(this.#shared, options);
  }

  /**
   * Begins a request that the application gets as it arrives, before its entry is stored. Returns undefined if there is
   * no room for it.
   */
  #beginStream(
    write: CollectedWrite,
    streaming: StreamingRequest,
    acquire: (waiter: StreamWaiter) => boolean,
    onTaken: (bytes: number) => void,
  ): RunningAttempt | undefined {
    if (!this.#hasRoom(write)) return undefined;
    const attempt = openAttempt(write.toApplication(0, onTaken), acquire);
    this.#run(write, this.#afterStream(write, streaming, attempt));
    return attempt;
  }

  get store(): JournalStore {
    return this.#shared.store;
  }

  get open(): number {
    return this.#writes;
  }

  /** Begins a write whose request is complete. */
  #begin(write: CollectedWrite, acquire: (waiter: StreamWaiter) => boolean): void {
    if (!this.#hasRoom(write)) return;
    this.#run(write, this.#carry(write, acquire));
  }

  async #carry(write: CollectedWrite, acquire: (waiter: StreamWaiter) => boolean): Promise<void> {
    const hidden = await hideWrite(write, this.#entryOf(write), this.#shared.subjectKeys, this.#deps);
    if (hidden === undefined) this.counts.add("unavailable");
    else await (write.plan.mode === "before" ? this.#before : this.#after).call(this, write, hidden, acquire);
  }

  /** Returns false if the write was refused for lack of room. */
  #hasRoom(write: CollectedWrite): boolean {
    const { writesMax = writesMaxDefault } = this.#deps;
    if (this.#writes < writesMax && write.room.reserve(responseReserveBytes)) return true;
    this.counts.add("refused");
    write.answer(noRoomAnswer(write.revision));
    write.room.end();
    return false;
  }

  #run(write: CollectedWrite, run: Promise<void>): void {
    this.#writes += 1;
    void run
      .catch((error: unknown) => this.#failed(write, error))
      .finally(() => {
        this.#writes -= 1;
        write.room.end();
      });
  }

  #failed(write: CollectedWrite, error: unknown): void {
    this.#deps.log.error("a write failed in the journal", { error: messageOf(error), method: write.method });
    write.answer(unavailableAnswer("journal", "internal error of the proxy at the journal", write.revision));
  }

  async #before(
    write: CollectedWrite,
    { entry, hiding }: Hidden,
    acquire: (waiter: StreamWaiter) => boolean,
  ): Promise<void> {
    const end = write.plan.isOrdered ? await this.#turn(write, journalKey(entry)) : () => {};
    const tell = (ended: WriteEnd<Settled> | Told): void => {
      if (!write.isTold) this.counts.add(ended.kind === "response" ? "applied" : ended.kind);
      write.answer(
        ended.kind === "response"
          ? replyAnswer(ended.response, ended.sequence, write.revision)
          : endAnswer(ended, write.revision),
      );
    };
    const request = {
      plan: write.plan,
      entry,
      hiding,
      request: write.request,
      expected: write.expected,
      dueAtMs: write.dueAtMs,
      tell,
      forward: (sequence: number) => forwardOnce(write.toApplication(sequence), acquire),
      sendAgain: (of: StoredEntry) => this.#again.settle(of, write.plan, acquire),
      hasLeft: () => write.hasLeft || write.isTold,
      isTold: () => write.isTold,
    };
    await new JournaledWrite(request, this.#shared, end).run();
  }

  /** Waits for a write's turn among those of its order key, no longer than for an append. */
  async #turn(write: CollectedWrite, key: string): Promise<() => void> {
    const over = new AbortController();
    void this.#deps.clock.sleep(patienceMs.append, AbortSignal.any([over.signal, this.#deps.signal])).then(() => {
      if (!over.signal.aborted) write.answer(endAnswer({ kind: "unavailable" }, write.revision));
    });
    const end = await this.#turns.take(key);
    over.abort();
    return end;
  }

  /**
   * Mode "after": calls the application first, then appends one record with request and outcome, then answers the
   * caller.
   */
  async #after(write: CollectedWrite, hidden: Hidden, acquire: (waiter: StreamWaiter) => boolean): Promise<void> {
    const response = await forwardOnce(write.toApplication(0), acquire);
    if (typeof response === "string") this.#notAnswered(write, response);
    else await this.#appendAfter(write, hidden, response);
  }

  /** Does the same for a stream, whose messages are appended while the application gets them. */
  async #afterStream(write: CollectedWrite, streaming: StreamingRequest, attempt: RunningAttempt): Promise<void> {
    const running = streaming.run();
    // if there will be no entry, the application must not continue
    const cancel = (): void => attempt.cancel();
    void running.then(({ kind }) => (kind === "whole" ? undefined : cancel()), cancel);
    const response = await attempt.forwarded;
    if (typeof response === "string") streaming.leave();
    else streaming.endEarly();
    const streamed = await running;
    if (streamed.kind !== "whole" && streamed.kind !== "gone") {
      this.counts.add(streamed.kind === "unavailable" ? "unavailable" : "refused");
      write.answer(notCollectedAnswer(streamed.kind, write));
    } else if (typeof response === "string") this.#notAnswered(write, response);
    else if (streamed.kind === "whole") {
      write.streamed = streamed.streamed;
      await this.#appendAfter(write, { entry: this.#entryOf(write), hiding: undefined }, response);
    }
  }

  #notAnswered(write: CollectedWrite, response: "lost" | "not-forwarded"): void {
    this.counts.add(response === "lost" ? "unknown" : "not-forwarded");
    const why = response === "lost" ? "the connection to the application was lost" : "the application is not reached";
    write.answer(unavailableAnswer(response === "lost" ? "reset" : "no-application", why, write.revision));
  }

  async #appendAfter(write: CollectedWrite, { entry, hiding }: Hidden, response: AppResponse): Promise<void> {
    const { store, clock } = this.#shared;
    const about = { timeMs: clock.nowMs(), entry: 0, entryDigest: undefined, confirms: [], ...notBehind };
    const outcome = buildOutcome(entry, about, keptOf(response, write.plan, hiding));
    const confirms = store.confirmations();
    const bytes = encodeEntryAt(entry, { expected: 0, afterVoid: 0, confirms, outcome });
    const digest = digestOf(bytes);
    const untilMs = clock.monotonicMs() + patienceMs.append;
    for (;;) {
      try {
        const { sequence } = await store.appendEntry(bytes, digest, journalKey(entry), nonceMessageId(entry.nonce));
        store.stored(sequence, digest, confirms);
        this.counts.add("applied");
        write.answer(replyAnswer(response, sequence, write.revision));
        return;
      } catch (error) {
        if (clock.monotonicMs() < untilMs && !this.#deps.signal.aborted) {
          await clock.sleep(50, this.#deps.signal);
          continue;
        }
        this.counts.add("unavailable");
        this.#deps.log.error("a write was applied and is not in the journal", { error: messageOf(error) });
        const message = "the write was applied, and the journal cannot be reached to record it";
        write.answer(unavailableAnswer("journal", message, write.revision));
        return;
      }
    }
  }

  #entryOf(write: CollectedWrite): Hidden["entry"] {
    const { identity, policy, random, clock } = this.#deps;
    const { proxyId, service } = identity.current;
    const { life } = this.#shared;
    const [nonce, epoch] = [write.nonce ?? random(16), policy.current?.epoch ?? 0];
    return write.entryOf(clock, { service, proxyId, life, nonce, epoch });
  }
}
