/** Walks along a subject of the journal, message by message. A walk that is repeated goes on where it has been in vain. */
import { BoundedMap } from "../../core/bounded-map.js";
import { AshlarError } from "../../core/errors.js";
import type { StoredMessage } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";

/** One call walks no longer, in milliseconds; the next one goes on. */
export const walkMsMax = 5000;
const marksMax = 10_000;
/**
 * Messages in a row that are no records of the journal, after which they are not read again. Fewer are: a record whose
 * signing key a proxy learns a moment later is none until then.
 */
const noRecordsMax = 64;

/** What a walk makes of a message: what it looks for, "other": a record of something else, or "none": no record. */
export type Judged<Found> = Found | "other" | "none";

export class LogWalks {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #marks = new BoundedMap<string, number>(marksMax);

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /**
   * The first message from `from` on that `judge` takes; undefined: this replica has none. `name` says what is looked
   * for. Fails with `unavailable` when it takes too long.
   */
  async find<Found extends object>(
    name: string,
    from: number,
    next: (from: number) => Promise<StoredMessage | undefined>,
    judge: (message: StoredMessage) => Promise<Judged<Found>> | Judged<Found>,
  ): Promise<Found | undefined> {
    const untilMs = this.#clock.monotonicMs() + walkMsMax;
    let at = this.#marks.get(name) ?? from;
    for (let noRecords = 0; ; ) {
      const message = await next(at);
      if (message === undefined) return undefined;
      const judged = await judge(message);
      if (judged !== "other" && judged !== "none") return judged;
      at = message.sequence + 1;
      if (judged === "none") noRecords += 1;
      if (noRecords === 0 || noRecords >= noRecordsMax) {
        this.#marks.set(name, at);
        noRecords = 0;
      }
      if (this.#clock.monotonicMs() >= untilMs)
        throw new AshlarError("unavailable", `the journal was read up to sequence ${at} in ${walkMsMax} ms: try again`);
    }
  }
}
