/**
 * Sends recorded decisions to the stream in batches. It never delays a call: a decision that finds no room is dropped
 * and counted.
 */
import type { RefusalCount } from "../../core/decision/decision-record.js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import { encodeBatch } from "../../core/wire/decisions.js";
import { decisionSubject } from "../../core/wire/subjects.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";
import type { IdentityView } from "../ports.js";
import type { DecisionSink } from "../proxy/decision-sink.js";

export interface DecisionRecorderDeps {
  readonly bus: Pick<Bus, "append" | "connected">;
  readonly identity: IdentityView;
  readonly statements: Pick<StatementWriter, "sign">;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
  readonly log: Logger;
}

/** The number of decisions by what became of them. */
export interface DecisionTotals {
  /** How many decisions were stored in the stream. */
  readonly recorded: number;
  /** How many refusals were only counted and not recorded one by one. */
  readonly counted: number;
  /** How many decisions should have been recorded but were dropped. */
  readonly dropped: number;
}

const pendingMax = 8192;
const pendingBytesMax = 2 * 1024 * 1024;
const countsMax = 256;
const countsBytesMax = 64 * 1024;
/** How often a batch is sent that NATS refuses while it is reachable. Then the batch is dropped. */
const triesMax = 20;
const batchMax = 2000;
/**
 * The most bytes of decisions in a batch. With counts, signature and headers the message stays below the stream's
 * limit.
 */
const batchBytes = 19 * 1024;
const batchCountsBytes = 8 * 1024;
const countOverheadBytes = 40;
const everyMs = 1000;
/**
 * How many batches may go one second after another. After that one goes every `paceMs`. The stream keeps some 4,096
 * batches per proxy, which at 21 s each is a day. A full batch goes at once.
 */
const burstMax = 512;
const paceMs = 21_000;
const closeMs = 1000;
const retry = { msMin: 200, msMax: 5000 };

/** A batch of decisions that is being sent. */
interface Batch {
  readonly bytes: Uint8Array;
  /** The message id, by which the stream recognises a retry of the same batch. */
  readonly id: string;
  readonly decisions: number;
  readonly counted: number;
}

function sizeOf({ caller, method, rule }: RefusalCount): number {
  return caller.length + method.length + rule.length;
}

export class DecisionRecorder implements DecisionSink {
  readonly #deps: DecisionRecorderDeps;
  readonly #share: number;
  readonly #stop = new AbortController();
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #counts: RefusalCount[] = [];
  #countsBytes = 0;
  #droppedUntold = 0;
  #recorded = 0;
  #counted = 0;
  #dropped = 0;
  #wake = new AbortController();
  #burst = burstMax;
  #burstAtMs = 0;
  #running: Promise<void> | undefined;
  #saidWhy = false;

  /** `share`: the recorded share of decisions other than refusals. Batches state it. */
  constructor(deps: DecisionRecorderDeps, share: number) {
    this.#deps = deps;
    this.#share = share;
  }

  get totals(): DecisionTotals {
    return { recorded: this.#recorded, counted: this.#counted, dropped: this.#dropped };
  }

  offer(decision: Uint8Array): boolean {
    const isFull = this.#pending.length >= pendingMax || this.#pendingBytes + decision.length > pendingBytesMax;
    if (isFull || decision.length > batchBytes || this.#stop.signal.aborted) {
      this.#drop(1);
      return false;
    }
    this.#pending.push(decision);
    this.#pendingBytes += decision.length;
    this.#begin();
    if (this.#pendingBytes >= batchBytes) this.#wake.abort();
    return true;
  }

  offerCounts(counts: readonly RefusalCount[]): void {
    for (const count of counts) {
      const bytes = sizeOf(count);
      if (this.#counts.length >= countsMax || this.#countsBytes + bytes > countsBytesMax) {
        this.#drop(count.count);
        continue;
      }
      this.#counts.push(count);
      this.#countsBytes += bytes;
      this.#counted += count.count;
    }
    this.#begin();
  }

  /** Counts decisions that another process dropped before this process got them. */
  noteDropped(count: number): void {
    this.#drop(count);
  }

  /** Sends what is left, as far as that is possible within a second. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    const bound = new AbortController();
    await Promise.race([this.#running, this.#deps.clock.sleep(closeMs, bound.signal)]);
    bound.abort();
  }

  #drop(count: number): void {
    this.#dropped += count;
    this.#droppedUntold += count;
  }

  #begin(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Sends batches while there are decisions. */
  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stop;
    while (this.#pending.length > 0 || this.#counts.length > 0) {
      this.#wake = new AbortController();
      if (this.#pendingBytes < batchBytes && !signal.aborted) await clock.sleep(this.#waitMs(), this.#wake.signal);
      this.#burst = Math.max(0, this.#burst - 1);
      await this.#send(this.#take());
    }
  }

  #waitMs(): number {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#burst = Math.min(burstMax, this.#burst + (nowMs - this.#burstAtMs) / paceMs);
    this.#burstAtMs = nowMs;
    return this.#burst >= 1 ? everyMs : Math.max(everyMs, (1 - this.#burst) * paceMs);
  }

  /** Takes the oldest counts, as many as fit into a batch. */
  #takeCounts(): readonly RefusalCount[] {
    let [count, bytes] = [0, 0];
    for (const one of this.#counts) {
      bytes += sizeOf(one) + countOverheadBytes;
      if (count > 0 && bytes > batchCountsBytes) break;
      count += 1;
    }
    const taken = this.#counts.splice(0, count);
    this.#countsBytes -= taken.reduce((sum, one) => sum + sizeOf(one), 0);
    return taken;
  }

  #take(): Batch {
    let bytes = 0;
    let count = 0;
    for (const decision of this.#pending) {
      if (count >= batchMax || bytes + decision.length > batchBytes) break;
      bytes += decision.length;
      count++;
    }
    const decisions = this.#pending.slice(0, count);
    this.#pending = this.#pending.slice(count);
    this.#pendingBytes -= bytes;
    const counted = this.#takeCounts();
    const { service, proxyId } = this.#deps.identity.current;
    const about = { service, proxyId, share: this.#share, dropped: this.#droppedUntold, counted };
    this.#droppedUntold = 0;
    return {
      bytes: encodeBatch(about, decisions),
      id: this.#deps.random(12).toString("hex"),
      decisions: count,
      counted: counted.length,
    };
  }

  /** Sends a batch again until it is stored or the proxy stops. */
  async #send(batch: Batch): Promise<void> {
    const { bus, clock, identity, statements, random, log } = this.#deps;
    const { signal } = this.#stop;
    const backoff = new Backoff(retry, () => random(4).readUInt32LE() / 2 ** 32);
    const { service, proxyId } = identity.current;
    for (let tries = 0; ; ) {
      try {
        const signed = statements.sign("decision", batch.bytes); // each time: readers compare its time with that of storage
        const headers = { "Nats-Msg-Id": batch.id, ...signed };
        await bus.append(decisionSubject(service, proxyId), batch.bytes, { headers });
        this.#recorded += batch.decisions;
        this.#saidWhy = false;
        return;
      } catch (error) {
        if (bus.connected && !this.#saidWhy) log.warn(`decisions cannot be recorded: ${messageOf(error)}`);
        this.#saidWhy ||= bus.connected;
        if (bus.connected) tries++;
        if (signal.aborted || tries >= triesMax || (isAshlarError(error) && error.code !== "unavailable"))
          return this.#drop(batch.decisions);
        await clock.sleep(backoff.nextMs(), signal);
      }
    }
  }
}
