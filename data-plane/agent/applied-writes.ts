import { BoundedMap } from "../../core/bounded-map.js";

/** A part of what an application says that it has applied of its service's journal. */
export interface AppliedReport {
  /** All writes whose outcome is at this position of the journal or before. */
  readonly position: number;
  /** The writes with these sequences as well. */
  readonly sequences: readonly number[];
}

/** The most sequences in one report. */
export const reportedSequencesMax = 1000;
const sequencesKept = 65_536;

/** What one application says that it has applied since it registered. */
export class AppliedWrites {
  #position = 0;
  readonly #sequences = new BoundedMap<number, true>(sequencesKept);

  /** Everything whose outcome is at this position or before is applied. */
  get position(): number {
    return this.#position;
  }

  hear({ position, sequences }: AppliedReport): void {
    this.#position = Math.max(this.#position, position);
    for (const sequence of sequences) this.#sequences.set(sequence, true);
  }

  /** Whether the application named the write itself, not long ago. */
  names(sequence: number): boolean {
    return this.#sequences.has(sequence);
  }

  /** Returns what was said, with the last sequences of those that are known. */
  report(): AppliedReport {
    const sequences = [...this.#sequences.keys()].slice(-reportedSequencesMax);
    return { position: this.#position, sequences };
  }
}
