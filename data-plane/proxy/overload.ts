import type { MemoryBudget } from "../http2/memory-budget.js";

export interface HeapUse {
  readonly usedBytes: number;
  readonly limitBytes: number;
}

export interface OverloadLimits {
  /** The share of the heap's limit from which callers are asked to move their connections to another endpoint. */
  readonly heapDrainShare: number;
  /** The share of the heap's limit from which new calls and connections are refused. */
  readonly heapRefuseShare: number;
  /** How late the event loop may run before new calls are refused, in milliseconds. */
  readonly lagMsMax: number;
  readonly pollMs: number;
  /** How long refused callers are told to wait, in milliseconds. */
  readonly pushbackMs: number;
}

export const overloadDefaults: OverloadLimits = {
  heapDrainShare: 0.92,
  heapRefuseShare: 0.95,
  lagMsMax: 1500,
  pollMs: 100,
  pushbackMs: 1000,
};

export const overloadCauses = ["memory", "heap", "event-loop"] as const;
export type OverloadCause = (typeof overloadCauses)[number];

/** The time between two requests to move connections while the heap stays full, in milliseconds. */
const drainAgainMs = 10_000;

/** Says whether this process can take new calls. It is asked for each call and measures a few times a second. */
export class Overload {
  readonly limits: OverloadLimits;
  readonly #budget: MemoryBudget;
  readonly #heap: () => HeapUse;
  readonly #drainListeners: (() => void)[] = [];
  readonly #refused: Record<OverloadCause, number> = { memory: 0, heap: 0, "event-loop": 0 };
  #polledMs: number;
  #drainedMs = Number.NEGATIVE_INFINITY;
  #heapFull = false;
  #late = false;
  /** How late the last measurement ran, in milliseconds. */
  lagMs = 0;
  /** The used share of the heap's limit at the last measurement. */
  heapShare = 0;

  constructor(budget: MemoryBudget, heap: () => HeapUse, nowMs: number, limits: OverloadLimits = overloadDefaults) {
    this.limits = limits;
    this.#budget = budget;
    this.#heap = heap;
    this.#polledMs = nowMs;
  }

  /** Why new calls must be refused. undefined: they are not refused. */
  get cause(): OverloadCause | undefined {
    if (this.#heapFull) return "heap";
    if (this.#late) return "event-loop";
    return this.#budget.isFull ? "memory" : undefined;
  }

  /** Like `cause`, for a call that is refused because of it: counts the refusal. */
  refuses(nowMs: number): OverloadCause | undefined {
    if (nowMs - this.#polledMs > this.limits.pollMs + this.limits.lagMsMax) this.#late = true;
    const { cause } = this;
    if (cause !== undefined) this.#refused[cause]++;
    return cause;
  }

  refused(cause: OverloadCause): number {
    return this.#refused[cause];
  }

  /** Calls `listener` when callers should move their connections to another endpoint. */
  onDrain(listener: () => void): void {
    this.#drainListeners.push(listener);
  }

  /** Measures again. The caller must call this every `pollMs`: `nowMs` also shows how late the event loop runs. */
  poll(nowMs: number): void {
    const { heapDrainShare, heapRefuseShare, lagMsMax, pollMs } = this.limits;
    this.lagMs = Math.max(0, nowMs - this.#polledMs - pollMs);
    this.#polledMs = nowMs;
    this.#late = this.lagMs > lagMsMax;
    const { usedBytes, limitBytes } = this.#heap();
    this.heapShare = usedBytes / limitBytes;
    this.#heapFull = this.heapShare >= heapRefuseShare;
    if (this.heapShare < heapDrainShare || nowMs - this.#drainedMs < drainAgainMs) return;
    this.#drainedMs = nowMs;
    for (const listener of this.#drainListeners) listener();
  }
}
