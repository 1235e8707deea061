/** A timer in the wheel. Only the wheel uses the links and `dueMs`. */
export interface Timed {
  dueMs: number;
  /** The timer's slot in the wheel. -1: it does not wait. */
  wheelSlot: number;
  wheelNext: Timed | null;
  wheelBefore: Timed | null;
  onDue(): void;
}

const slotMs = 10;
const slots = 512; // a power of two

/**
 * Timers for very many calls: adding and removing one costs a few assignments. They fire up to two ticks (20 ms) late
 * and never early. Nothing runs while nothing waits.
 */
export class DeadlineWheel {
  readonly #nowMs: () => number;
  readonly #onFault: (error: unknown) => void;
  readonly #heads: (Timed | null)[] = new Array<Timed | null>(slots).fill(null);
  #count = 0;
  /** The last tick that was handled. */
  #tick = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `nowMs` must be monotonic. `onFault` receives what an `onDue` threw; the other timers still fire. */
  constructor(nowMs: () => number, onFault: (error: unknown) => void) {
    this.#nowMs = nowMs;
    this.#onFault = onFault;
  }

  get size(): number {
    return this.#count;
  }

  /** Calls `timed.onDue` once after `dueMs`, unless `timed` is removed before. */
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
    // After a pause of more than one turn of the wheel, every slot is checked once.
    const from = Math.max(this.#tick + 1, until - slots + 1);
    this.#tick = until;
    for (let tick = from; tick <= until; tick++) this.#fire(tick & (slots - 1), nowMs);
    if (this.#count > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Fires the due timers of a slot; those for a later turn of the wheel stay. */
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
      timed = this.#heads[slot] as Timed | null; // `onDue` may have removed the next timer
    }
  }
}
