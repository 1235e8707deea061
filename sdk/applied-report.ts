/** Collects, for the proxy, what the application has applied of its service's journal. */

/** The most sequences in one message, which the agent takes. */
const sequencesMax = 1000;
/**
 * How many of the last sequences are reported again to a proxy that comes back, which remembers no more than that. The
 * position covers the others.
 */
const sequencesKept = 65_536;

export interface AppliedMessage {
  readonly position: number;
  readonly sequences: number[];
}

export class AppliedReport {
  #position = 0;
  #isSaid = false;
  readonly #last: number[] = [];
  #pending: number[] = [];

  add(position: number, sequence: number): void {
    this.#isSaid = true;
    this.#position = Math.max(this.#position, position);
    if (sequence === 0) return;
    this.#pending.push(sequence);
    if (this.#pending.length > sequencesKept) this.#pending.shift();
    this.#last.push(sequence);
    if (this.#last.length >= 2 * sequencesKept) this.#last.splice(0, this.#last.length - sequencesKept);
  }

  /**
   * Returns what has to be reported to a proxy that received everything before; `isNew`: to one that received nothing.
   */
  take(isNew: boolean): AppliedMessage[] {
    if (!this.#isSaid) return [];
    const sequences = isNew ? this.#last.slice(-sequencesKept) : this.#pending;
    this.#pending = [];
    const messages: AppliedMessage[] = [];
    do messages.push({ position: this.#position, sequences: sequences.splice(0, sequencesMax) });
    while (sequences.length > 0);
    return messages;
  }
}
