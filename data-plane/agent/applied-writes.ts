import { BoundedMap } from "../../core/bounded-map.js";

/** A part of an application's report about what it has applied of its service's journal. */
export interface AppliedReport {
  /** All writes whose outcome is at or before this position of the journal are applied. */
  readonly position: number;
  /** The writes with these sequences are applied as well. */
  readonly sequences: readonly number[];
}

/** The most sequences in one message of an application. */
export const reportedSequencesMax = 1000;
const sequencesKept = 65_536;

/** What one application has reported as applied since it registered. */
export class AppliedWrites {
  #position = 0;
  readonly #sequences = new BoundedMap<number, true>(sequencesKept);

  /** Everything whose outcome is at or before this position is applied. */
  get position(): number {
    return this.#position;
  }

  hear({ position, sequences }: AppliedReport): void {
    this.#position = Math.max(this.#position, position);
    for (const sequence of sequences) this.#sequences.set(sequence, true);
  }

  /** Returns whether the application recently named this write itself. */
  names(sequence: number): boolean {
    return this.#sequences.has(sequence);
  }

  /** Returns the position, and all sequences that are remembered. */
  report(): AppliedReport {
    return { position: this.#position, sequences: [...this.#sequences.keys()] };
  }
}
