/** Says whether a heartbeat repeats what the ones before it said, so that readers may put off verifying it. */
import type { Heartbeat } from "../../core/model.js";
import { encodeHeartbeat } from "../../core/wire/fleet.js";
import { repeatHeader } from "../../core/wire/statement.js";

export class RepeatedNews {
  /** What the last heartbeat said, and how many said the same before it. */
  #last: Uint8Array = new Uint8Array();
  #saidBefore = 0;

  /**
   * Returns a header for this heartbeat if the two before it said the same, apart from times and counts of calls. The
   * first repetition does not count, since the news themselves may have been lost. `awaited`: somebody waits for the
   * counts, so no heartbeat is a repetition.
   */
  headersFor(heartbeat: Heartbeat, awaited: boolean): Readonly<Record<string, string>> {
    const still = { timeMs: 0, freshnessAgeMs: 0, lagMs: 0, calls: undefined, callsBefore: undefined };
    const bytes = encodeHeartbeat({ ...heartbeat, ...still });
    this.#saidBefore = !awaited && Buffer.compare(bytes, this.#last) === 0 ? this.#saidBefore + 1 : 0;
    this.#last = bytes;
    return this.#saidBefore >= 2 ? { [repeatHeader]: "1" } : {};
  }
}
