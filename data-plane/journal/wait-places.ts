/** The places of reads that wait for a write, shared fairly among callers. */

/** The waiting reads of one caller, and of each outside client that a gateway calls for ("": of nobody outside). */
interface Waits {
  count: number;
  readonly byClient: Map<string, number>;
}

/**
 * A caller may hold as many places as are free, and one client of a gateway as many as the gateway may still take. So one caller alone
 * gets at most half of all places, one client of a gateway a third, and a caller that comes later finds a place. Only callers whose
 * reads wait are kept.
 */
export class WaitPlaces {
  readonly #max: number;
  readonly #callers = new Map<string, Waits>();
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Takes a place. Returns the function that gives it back, or undefined if this caller or client gets none now. */
  take(caller: string, client: string): (() => void) | undefined {
    const free = this.#max - this.#count;
    const waits = this.#callers.get(caller) ?? { count: 0, byClient: new Map() };
    const ofClient = waits.byClient.get(client) ?? 0;
    if (waits.count >= free || (client !== "" && ofClient >= free - waits.count)) return undefined;
    this.#callers.set(caller, waits);
    this.#note(caller, waits, client, 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#note(caller, waits, client, -1);
      isTaken = false;
    };
  }

  #note(caller: string, waits: Waits, client: string, change: 1 | -1): void {
    this.#count += change;
    waits.count += change;
    const ofClient = (waits.byClient.get(client) ?? 0) + change;
    if (ofClient === 0) waits.byClient.delete(client);
    else waits.byClient.set(client, ofClient);
    if (waits.count === 0) this.#callers.delete(caller);
  }
}
