/**
 * Whether the times that an export has can be those at which its messages were stored. Nobody signed them, but seals have the time at
 * which they were made: what they cover was stored before that, and what comes after them later. Pure.
 */
import { messageOf } from "../errors.js";
import type { KeySet } from "../signature.js";
import { verifySeal } from "../wire/journal/seal.js";
import { parseJournalSubject } from "../wire/subjects.js";
import type { JournalFault, JournalMessage } from "./journal-verifier.js";

/** Clocks of the mesh and of NATS differ by no more. */
const skewMs = 5 * 60_000;

export class ImportTimes {
  readonly #trust: { readonly mesh: string; readonly keys: KeySet };
  readonly #faults: JournalFault[] = [];
  /** What no seal covers yet: the latest of it alone has to be compared with the seal's time. */
  #latest: { readonly sequence: number; readonly storedMs: number } | undefined;
  /** Nothing is older than the last seal. */
  #notBeforeMs = 0;

  constructor(trust: { readonly mesh: string; readonly keys: KeySet }) {
    this.#trust = trust;
  }

  /** The first one; empty: nothing is known against the times. */
  get faults(): readonly JournalFault[] {
    return this.#faults;
  }

  add({ sequence, storedMs, subject, data }: JournalMessage): void {
    if (storedMs < this.#notBeforeMs - skewMs)
      this.#refuse(sequence, "its time is before that of a seal that it came after");
    if (storedMs >= (this.#latest?.storedMs ?? 0)) this.#latest = { sequence, storedMs };
    if (parseJournalSubject(subject)?.kind === "seal") this.#seal(sequence, data);
  }

  /** `end`: the seal over everything, which is not among the messages. */
  end(end: Uint8Array): void {
    if (end.length > 0) this.#seal(this.#latest?.sequence ?? 0, end);
  }

  #seal(at: number, bytes: Uint8Array): void {
    try {
      const { timeMs } = verifySeal(bytes, this.#trust.mesh, this.#trust.keys).body;
      if (this.#latest !== undefined && this.#latest.storedMs > timeMs + skewMs)
        this.#refuse(this.#latest.sequence, "its time is after that of the seal that covers it");
      this.#notBeforeMs = Math.max(this.#notBeforeMs, timeMs);
    } catch (error) {
      this.#refuse(at, `a seal cannot be read: ${messageOf(error)}`);
    }
  }

  #refuse(sequence: number, why: string): void {
    if (this.#faults.length === 0) this.#faults.push({ sequence, why });
  }
}
