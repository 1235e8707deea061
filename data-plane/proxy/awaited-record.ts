/** Holds back the record of an outbound call until it is known how many attempts the call needed. */
import type { FieldBlock } from "../http2/field-block.js";
import type { CallFacts } from "./forward/call-facts.js";
import { CallObserver } from "./forward/call-observer.js";

/** Offers the record of a call that was sent `attempts` times. */
export type OfferRecord = (attempts: number) => void;

/** The most records that wait. Beyond that, the oldest is offered with the attempts counted so far. */
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

  /** Offers the records that were already waiting when this was last called. */
  settleOld(): void {
    for (const awaited of this.#waiting) {
      if (awaited.isOld) awaited.settle();
      awaited.isOld = true;
    }
  }

  /** Offers every waiting record. */
  settleAll(): void {
    for (const awaited of this.#waiting) awaited.settle();
  }
}

/** One waiting record. It ends its wait when the answer begins, because no attempt follows then. */
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
