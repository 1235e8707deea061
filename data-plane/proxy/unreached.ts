/** Which instances of a service could not be connected to, and for how long, so that the log says it once. Pure. */

interface Unreachable {
  readonly sinceMs: number;
  told: boolean;
}

/** One that is restarted refuses connections for a moment, which is no news. */
const tellAfterMs = 5000;
const instancesMax = 256;

export class Unreached {
  readonly #instances = new Map<string, Unreachable>();

  /** Notes that no connection to an instance could be made. Returns true, once, when that has been so for 5 s. */
  failed(proxyId: string, nowMs: number): boolean {
    const known = this.#instances.get(proxyId);
    if (known === undefined) {
      const [oldest] = this.#instances.keys();
      if (oldest !== undefined && this.#instances.size >= instancesMax) this.#instances.delete(oldest);
      this.#instances.set(proxyId, { sinceMs: nowMs, told: false });
      return false;
    }
    if (known.told || nowMs - known.sinceMs < tellAfterMs) return false;
    known.told = true;
    return true;
  }

  /** Notes that an instance was reached. Returns whether it was told that it could not be. */
  reached(proxyId: string): boolean {
    if (this.#instances.size === 0) return false;
    const told = this.#instances.get(proxyId)?.told === true;
    this.#instances.delete(proxyId);
    return told;
  }
}
