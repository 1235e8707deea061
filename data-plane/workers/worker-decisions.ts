/** Sends a worker's recorded decisions to the first process in batches. Decisions that find no room are counted. */
import type { RefusalCount } from "../../core/decision/decision-record.js";
import type { Clock } from "../../runtime/clock.js";
import type { DecisionSink } from "../proxy/decision-sink.js";
import { recordsMax } from "./message-readers.js";
import type { Question } from "./messages.js";

const pendingBytesMax = 512 * 1024;
const everyMs = 100;

export class WorkerDecisions implements DecisionSink {
  readonly #ask: (question: Question) => Promise<boolean>;
  readonly #clock: Clock;
  #decisions: Uint8Array[] = [];
  #bytes = 0;
  #counts: RefusalCount[] = [];
  #dropped = 0;
  #running = false;

  constructor(ask: (question: Question) => Promise<boolean>, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  offer(decision: Uint8Array): boolean {
    const isFull = this.#decisions.length >= recordsMax || this.#bytes + decision.length > pendingBytesMax;
    if (isFull) this.#dropped += 1;
    else {
      this.#decisions.push(decision);
      this.#bytes += decision.length;
    }
    this.#begin();
    return !isFull;
  }

  offerCounts(counts: readonly RefusalCount[]): void {
    const room = recordsMax - this.#counts.length;
    this.#counts.push(...counts.slice(0, room));
    for (const { count } of counts.slice(room)) this.#dropped += count;
    this.#begin();
  }

  /** Sends what waits without waiting for a full batch, because the process ends. */
  flush(): void {
    void this.#send();
  }

  #begin(): void {
    if (!this.#running) void this.#run();
  }

  /** Sends batches. The next one goes when the first process has taken the one before. */
  async #run(): Promise<void> {
    this.#running = true;
    while (this.#decisions.length > 0 || this.#counts.length > 0 || this.#dropped > 0) {
      await this.#clock.sleep(everyMs);
      await this.#send();
    }
    this.#running = false;
  }

  async #send(): Promise<void> {
    const [decisions, counts, dropped] = [this.#decisions, this.#counts, this.#dropped];
    this.#decisions = [];
    this.#bytes = 0;
    this.#counts = [];
    this.#dropped = 0;
    await this.#ask({ kind: "record", decisions, counts, dropped }).catch(() => {
      this.#dropped += decisions.length + dropped;
    });
  }
}
