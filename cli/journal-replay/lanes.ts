/** Runs the work of one order key in its order, and that of several at once. */

interface Pending {
  readonly position: number;
  isDone: boolean;
}

/** The most writes that wait or run, whatever the number of lanes, because writes hold their bytes meanwhile. */
const pendingMax = 256;
const bytesMax = 32 * 1024 * 1024;

export class Lanes {
  readonly #width: number;
  readonly #last = new Map<string, Promise<void>>();
  readonly #pending: Pending[] = [];
  readonly #wakers: (() => void)[] = [];
  #running = 0;
  #waiting = 0;
  #bytes = 0;
  #reached = 0;
  #failure: { readonly error: unknown } | undefined;

  /** At most `width` writes run at once; 1: all writes run in the order in which they were added. */
  constructor(width: number) {
    this.#width = width;
  }

  /** Everything that was added up to this position is done. */
  get done(): number {
    const [first] = this.#pending;
    return first === undefined ? this.#reached : Math.max(0, first.position - 1);
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Notes that nothing up to this position will be added any more. */
  reach(position: number): void {
    this.#reached = Math.max(this.#reached, position);
  }

  /** Adds a write, and resolves when there is room for more. Fails with the error of the first write that failed. */
  async add(lane: string, position: number, bytes: number, work: () => Promise<void>): Promise<void> {
    await this.#until(
      () => this.#pending.length < pendingMax && (this.#bytes === 0 || this.#bytes + bytes <= bytesMax),
    );
    const pending: Pending = { position, isDone: false };
    this.#pending.push(pending);
    this.#bytes += bytes;
    const key = this.#width === 1 ? "" : lane;
    const own = this.#run(this.#last.get(key), work).finally(() => {
      if (this.#last.get(key) === own) this.#last.delete(key);
      this.#bytes -= bytes;
      this.#end(pending);
    });
    this.#last.set(key, own);
  }

  /** Resolves when everything is done. Fails with the error of the first write that failed. */
  async drain(): Promise<void> {
    await this.#until(() => this.#running + this.#waiting === 0);
  }

  async #run(before: Promise<void> | undefined, work: () => Promise<void>): Promise<void> {
    this.#waiting += 1;
    await before;
    while (this.#running >= this.#width && this.#failure === undefined) await this.#changed();
    this.#waiting -= 1;
    if (this.#failure !== undefined) return;
    this.#running += 1;
    try {
      await work();
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#running -= 1;
    }
  }

  #end(pending: Pending): void {
    // a write that failed, or was not begun because of that, stays pending, so that a checkpoint is before it
    if (this.#failure === undefined) pending.isDone = true;
    while (this.#pending[0]?.isDone === true) this.reach(this.#pending.shift()?.position ?? 0);
    for (const wake of this.#wakers.splice(0)) wake();
  }

  async #until(holds: () => boolean): Promise<void> {
    while (this.#failure === undefined && !holds()) await this.#changed();
    if (this.#failure === undefined) return;
    while (this.#running + this.#waiting > 0) await this.#changed();
    throw this.#failure.error;
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve));
  }
}
