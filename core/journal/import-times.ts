/**
 * Checks that the times in an exported journal can be those at which its messages were stored. Nobody signed these
 * times, but each seal states when it was made: the messages that it covers were stored before that time, and the
 * messages after it later. Pure.
 */
import { messageOf } from "../errors.js";
import type { KeySet } from "../signature.js";
import { verifySeal } from "../wire/journal/seal.js";
import { parseJournalSubject } from "../wire/subjects.js";
import type { JournalFault, JournalMessage } from "./journal-verifier.js";

/** The most milliseconds by which the clocks of the mesh and of NATS may differ. */
const skewMs = 5 * 60_000;

export class ImportTimes {
  readonly #trust: { readonly mesh: string; readonly keys: KeySet };
  readonly #faults: JournalFault[] = [];
  /** The latest message that no seal covers yet; comparing the latest one with the seal's time is enough. */
  #latest: { readonly sequence: number; readonly storedMs: number } | undefined;
  /** The time of the last seal: every later message must be newer. */
  #notBeforeMs = 0;

  constructor(trust: { readonly mesh: string; readonly keys: KeySet }) {
    this.#trust = trust;
  }

  /** The first fault; empty if nothing contradicts the times. */
  get faults(): readonly JournalFault[] {
    return this.#faults;
  }

  add({ sequence, storedMs, subject, data }: JournalMessage): void {
    if (storedMs < this.#notBeforeMs - skewMs)
      this.#refuse(sequence, "its time is before that of a seal that it came after");
    if (storedMs >= (this.#latest?.storedMs ?? 0)) this.#latest = { sequence, storedMs };
    if (parseJournalSubject(subject)?.kind === "seal") this.#seal(sequence, data);
  }

  /** Ends the check. `end`: the seal over the whole export, which is not among the messages. */
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
