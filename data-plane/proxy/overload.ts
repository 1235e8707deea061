import type { MemoryBudget } from "../http2/memory-budget.js";

export interface HeapUse {
  readonly usedBytes: number;
  readonly limitBytes: number;
}

export interface OverloadLimits {
  /** From this share of the heap's limit on, callers are asked to take their connections elsewhere. */
  readonly heapDrainShare: number;
  /** From this share on, new calls and connections are refused. */
  readonly heapRefuseShare: number;
  /** New calls are refused while the event loop runs later than this. */
  readonly lagMsMax: number;
  readonly pollMs: number;
  /** What refused callers are told to wait. */
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

/** Between two requests to drain, while the heap stays as full as it is. */
const drainAgainMs = 10_000;

/** Whether this process can take new calls: asked for each call, measured a few times a second. */
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
  /** How late the last look came. */
  lagMs = 0;
  /** Of its limit, at the last look. */
  heapShare = 0;

  constructor(budget: MemoryBudget, heap: () => HeapUse, nowMs: number, limits: OverloadLimits = overloadDefaults) {
    this.limits = limits;
    this.#budget = budget;
    this.#heap = heap;
    this.#polledMs = nowMs;
  }

  /** Why new calls are to be refused; undefined: they are not. */
  get cause(): OverloadCause | undefined {
    if (this.#heapFull) return "heap";
    if (this.#late) return "event-loop";
    return this.#budget.isFull ? "memory" : undefined;
  }

  /**
   * As `cause`, for a call that is refused for it: counts. After a standstill calls may be read before the next look:
   * `nowMs` tells that it is overdue.
   */
  refuses(nowMs: number): OverloadCause | undefined {
    if (nowMs - this.#polledMs > this.limits.pollMs + this.limits.lagMsMax) this.#late = true;
    const { cause } = this;
    if (cause !== undefined) this.#refused[cause]++;
    return cause;
  }

  refused(cause: OverloadCause): number {
    return this.#refused[cause];
  }

  /** Calls `listener` when callers are to take their connections elsewhere. */
  onDrain(listener: () => void): void {
    this.#drainListeners.push(listener);
  }

  /** Looks again; `nowMs` tells how late the event loop is, too: call it every `pollMs`. */
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
