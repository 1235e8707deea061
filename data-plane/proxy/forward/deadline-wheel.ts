/** What waits for its time. The wheel uses the links and `dueMs`; nobody else does. */
export interface Timed {
  dueMs: number;
  /** Where it is in the wheel; -1: it does not wait. */
  wheelSlot: number;
  wheelNext: Timed | null;
  wheelBefore: Timed | null;
  onDue(): void;
}

const slotMs = 10;
const slots = 512; // a power of two

/**
 * Timers for very many calls: to add and to remove one costs a few assignments. They fire up to two ticks
 * (20 ms) late and never early. Nothing runs while nothing waits.
 */
export class DeadlineWheel {
  readonly #nowMs: () => number;
  readonly #onFault: (error: unknown) => void;
  readonly #heads: (Timed | null)[] = new Array<Timed | null>(slots).fill(null);
  #count = 0;
  /** The last tick that was looked at. */
  #tick = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `nowMs` must be monotonic; `onFault` hears what an `onDue` threw: the others still get their turn. */
  constructor(nowMs: () => number, onFault: (error: unknown) => void) {
    this.#nowMs = nowMs;
    this.#onFault = onFault;
  }

  get size(): number {
    return this.#count;
  }

  /** Has `timed.onDue` called when `dueMs` has passed, once, unless it is removed before. */
  add(timed: Timed, dueMs: number): void {
    if (timed.wheelSlot >= 0) this.remove(timed);
    if (this.#timer === undefined) this.#start();
    const tick = Math.max(Math.ceil(dueMs / slotMs), this.#tick + 1);
    const slot = tick & (slots - 1);
    const head = this.#heads[slot] as Timed | null;
    timed.dueMs = dueMs;
    timed.wheelSlot = slot;
    timed.wheelBefore = null;
    timed.wheelNext = head;
    if (head !== null) head.wheelBefore = timed;
    this.#heads[slot] = timed;
    this.#count++;
  }

  remove(timed: Timed): void {
    if (timed.wheelSlot < 0) return;
    const { wheelBefore, wheelNext } = timed;
    if (wheelBefore === null) this.#heads[timed.wheelSlot] = wheelNext;
    else wheelBefore.wheelNext = wheelNext;
    if (wheelNext !== null) wheelNext.wheelBefore = wheelBefore;
    timed.wheelSlot = -1;
    timed.wheelNext = null;
    timed.wheelBefore = null;
    this.#count--;
  }

  #start(): void {
    this.#tick = Math.floor(this.#nowMs() / slotMs);
    this.#timer = setInterval(() => this.#turn(), slotMs);
    this.#timer.unref();
  }

  #turn(): void {
    const nowMs = this.#nowMs();
    const until = Math.floor(nowMs / slotMs);
    // After a pause of more than a whole turn every slot is looked at once.
    const from = Math.max(this.#tick + 1, until - slots + 1);
    this.#tick = until;
    for (let tick = from; tick <= until; tick++) this.#fire(tick & (slots - 1), nowMs);
    if (this.#count > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** What is in the slot for a later turn of the wheel stays. */
  #fire(slot: number, nowMs: number): void {
    let timed = this.#heads[slot] as Timed | null;
    while (timed !== null) {
      if (timed.dueMs > nowMs) {
        timed = timed.wheelNext;
        continue;
      }
      this.remove(timed);
      try {
        timed.onDue();
      } catch (error) {
        this.#onFault(error);
      }
      timed = this.#heads[slot] as Timed | null; // `onDue` may have removed the next one
    }
  }
}
