/**
 * Says whether this process may write the proxy's data folder and speak for the proxy. Only one process at a time may.
 */

/**
 * `waiting`: it may once its predecessor has handed over. `held`: a successor is starting, and this process goes on if
 * that fails. `over`: the successor has taken over.
 */
export type TenureState = "waiting" | "owner" | "held" | "over";

export class Tenure {
  #state: TenureState;
  /** The number of writes that run. */
  #busy = 0;
  #waiting: (() => void)[] = [];
  #whenIdle: (() => void)[] = [];

  constructor(state: "waiting" | "owner") {
    this.#state = state;
  }

  get isOwner(): boolean {
    return this.#state === "owner";
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  /**
   * Runs `write` as soon as this process may write. Returns `otherwise` without running it if another process writes.
   */
  async run<Result>(write: () => Promise<Result>, otherwise: Result): Promise<Result> {
    if (!(await this.isMine())) return otherwise;
    this.#busy += 1;
    try {
      return await write();
    } finally {
      this.#busy -= 1;
      if (this.#busy === 0) for (const tell of this.#whenIdle.splice(0)) tell();
    }
  }

  /** Resolves to true as soon as this process may write, or to false once it may never again. */
  async isMine(): Promise<boolean> {
    while (this.#state === "waiting" || this.#state === "held") {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.#state === "owner";
  }

  /** Begins no further write. Resolves when the running ones have ended. */
  async hold(): Promise<void> {
    this.#state = "held";
    if (this.#busy > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Notes that this process writes from now on. */
  begin(): void {
    this.#move("owner");
  }

  /** Notes that another process writes from now on. */
  end(): void {
    this.#move("over");
  }

  #move(state: TenureState): void {
    this.#state = state;
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
