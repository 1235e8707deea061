/**
 * What the workers found out about other services' instances, by connecting to them and by their answers. As of the
 * workers' last measures.
 */
import {
  type EjectedFact,
  ejectedToldMax,
  mergeEjected,
  mergeReach,
  type ReachFact,
  reachedToldMax,
  reachWhyMax,
  unreachedToldMax,
} from "../../core/reach.js";

export class CrewReaches {
  readonly #last = new Map<number, readonly ReachFact[]>();
  readonly #ejected = new Map<number, readonly EjectedFact[]>();

  take(worker: number, facts: readonly ReachFact[], ejected: readonly EjectedFact[]): void {
    this.#last.set(worker, facts);
    this.#ejected.set(worker, ejected);
  }

  /** Notes that a worker ended, and with it its connections. */
  gone(worker: number): void {
    this.#last.delete(worker);
    this.#ejected.delete(worker);
  }

  /** Returns what is known of each instance. Each worker connects on its own, so the newest of their reports counts. */
  read(): readonly ReachFact[] {
    return mergeReach([...this.#last.values()]);
  }

  /** Returns the ejected instances. Each worker ejects on its own, and one worker is enough for a report. */
  ejections(): readonly EjectedFact[] {
    return mergeEjected([...this.#ejected.values()]);
  }
}

/**
 * Returns whether the value is a valid report of a worker. Workers read strangers' data and are not trusted blindly.
 */
export function isReach(value: unknown): value is readonly ReachFact[] {
  return Array.isArray(value) && value.length <= unreachedToldMax + reachedToldMax && value.every(isFact);
}

/** Returns whether a worker may have ejected those. */
export function isEjections(value: unknown): value is readonly EjectedFact[] {
  return Array.isArray(value) && value.length <= ejectedToldMax && value.every(isEjected);
}

function isEjected(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { proxyId, why } = value as Partial<EjectedFact>;
  return isText(proxyId, 64) && isText(why, reachWhyMax);
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
