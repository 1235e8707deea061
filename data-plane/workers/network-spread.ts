/**
 * Counts at how many workers the clients of one network have connections, by listener. Each worker allows them its part
 * of the calls.
 */
import { networkOf } from "../../runtime/connection-gate.js";

/** A message for workers: the network of `address` has connections at `workers` workers. */
export interface Spread {
  readonly worker: number;
  readonly listener: number;
  readonly address: string;
  readonly workers: number;
}

interface Open {
  readonly listener: number;
  /** An address of the network. */
  readonly address: string;
  /** The number of connections, by worker. */
  readonly by: Map<number, number>;
}

export class NetworkSpread {
  readonly #open = new Map<string, Open>();

  opened(listener: number, address: string, worker: number): readonly Spread[] {
    const key = keyOf(listener, address);
    const open = this.#open.get(key) ?? { listener, address, by: new Map<number, number>() };
    this.#open.set(key, open);
    const before = open.by.get(worker) ?? 0;
    open.by.set(worker, before + 1);
    return before === 0 && open.by.size > 1 ? tellAll(open) : [];
  }

  closed(listener: number, address: string, worker: number): readonly Spread[] {
    const key = keyOf(listener, address);
    const open = this.#open.get(key);
    const left = (open?.by.get(worker) ?? 1) - 1;
    if (open === undefined || left > 0) {
      open?.by.set(worker, left);
      return [];
    }
    open.by.delete(worker);
    if (open.by.size > 0) return [{ worker, listener, address, workers: 1 }, ...tellAll(open)];
    this.#open.delete(key);
    return [];
  }

  /**
   * Notes that a worker has ended. Returns what to tell the others, and the addresses whose connections ended with it.
   */
  gone(worker: number): {
    readonly tell: readonly Spread[];
    readonly ended: readonly Omit<Spread, "worker" | "workers">[];
  } {
    const tell: Spread[] = [];
    const ended: Omit<Spread, "worker" | "workers">[] = [];
    for (const [key, open] of this.#open) {
      const { listener, address, by } = open;
      const count = by.get(worker);
      if (count === undefined) continue;
      for (let one = 0; one < count; one++) ended.push({ listener, address });
      by.delete(worker);
      if (by.size === 0) this.#open.delete(key);
      else tell.push(...tellAll(open));
    }
    return { tell, ended };
  }
}

function keyOf(listener: number, address: string): string {
  return `${listener} ${networkOf(address)}`;
}

function tellAll({ listener, address, by }: Open): readonly Spread[] {
  return [...by.keys()].map((worker) => ({ worker, listener, address, workers: by.size }));
}
