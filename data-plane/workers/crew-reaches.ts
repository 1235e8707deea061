/** What the workers found out about other services' instances by connecting to them, as of their last measures. */
import { mergeReach, type ReachFact, reachedToldMax, reachWhyMax, unreachedToldMax } from "../../core/reach.js";

export class CrewReaches {
  readonly #last = new Map<number, readonly ReachFact[]>();

  take(worker: number, facts: readonly ReachFact[]): void {
    this.#last.set(worker, facts);
  }

  /** A worker ended, and its connections with it. */
  gone(worker: number): void {
    this.#last.delete(worker);
  }

  /** Each worker connects for itself: of what they say about an instance, the newest counts. */
  read(): readonly ReachFact[] {
    return mergeReach([...this.#last.values()]);
  }
}

/** Returns whether a worker may have found that out: workers read what strangers send, and are not believed blindly. */
export function isReach(value: unknown): value is readonly ReachFact[] {
  return Array.isArray(value) && value.length <= unreachedToldMax + reachedToldMax && value.every(isFact);
}

function isFact(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { proxyId, address, why, agoMs } = value as Partial<ReachFact>;
  const isNamed = isText(proxyId, 64) && isText(address, 300) && isText(why, reachWhyMax);
  return isNamed && typeof agoMs === "number" && agoMs >= 0;
}

function isText(value: unknown, lengthMax: number): boolean {
  return typeof value === "string" && value.length <= lengthMax;
}
