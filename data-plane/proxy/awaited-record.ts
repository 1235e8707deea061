/** The record of an outbound call that waits until it is known how often the call was sent. */
import type { FieldBlock } from "../http2/field-block.js";
import type { CallFacts } from "./forward/call-facts.js";
import { CallObserver } from "./forward/call-observer.js";

/** Offers a record of a call that was sent so often. */
export type OfferRecord = (attempts: number) => void;

/** Records that wait; when there are more, the oldest is offered as it is. */
const waitingMax = 4096;

export class AwaitedRecords {
  readonly #waiting = new Set<AwaitedRecord>();

  /** Returns the observer of the call. */
  add(offer: OfferRecord): AwaitedRecord {
    const awaited = new AwaitedRecord(offer, this.#waiting);
    this.#waiting.add(awaited);
    if (this.#waiting.size > waitingMax) {
      const [oldest] = this.#waiting;
      oldest?.settle();
    }
    return awaited;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Offers those that have waited since the last time this was called. */
  settleOld(): void {
    for (const awaited of this.#waiting) {
      if (awaited.isOld) awaited.settle();
      awaited.isOld = true;
    }
  }

  /** Offers all. */
  settleAll(): void {
    for (const awaited of this.#waiting) awaited.settle();
  }
}

/** One of them. No attempt follows the beginning of the answer. */
export class AwaitedRecord extends CallObserver {
  isOld = false;
  #attempts = 0;
  readonly #offer: OfferRecord;
  readonly #waiting: Set<AwaitedRecord>;

  constructor(offer: OfferRecord, waiting: Set<AwaitedRecord>) {
    super();
    this.#offer = offer;
    this.#waiting = waiting;
  }

  override attemptStarted(call: CallFacts, endpoint: string): void {
    super.attemptStarted(call, endpoint);
    this.#attempts = call.attempts;
  }

  override responded(call: CallFacts, fields: FieldBlock): void {
    super.responded(call, fields);
    this.settle();
  }

  override ended(call: CallFacts): void {
    super.ended(call);
    this.settle();
  }

  settle(): void {
    if (this.#waiting.delete(this)) this.#offer(this.#attempts);
  }
}
