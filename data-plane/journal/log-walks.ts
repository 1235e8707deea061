/**
 * Walks along a subject of the journal, message by message. A repeated walk skips the messages that an earlier one
 * passed in vain.
 */
import { BoundedMap } from "../../core/bounded-map.js";
import { AshlarError } from "../../core/errors.js";
import type { StoredMessage } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";

/** The most milliseconds of one walk; the next call continues. */
export const walkMsMax = 5000;
const marksMax = 10_000;
/**
 * The number of messages in a row that are no records after which they are not read again. Fewer are read again,
 * because a record counts as none until the proxy learns its signing key.
 */
const noRecordsMax = 64;

/** The verdict about a message: what is looked for; "other": a record of something else; "none": no record. */
export type Judged<Found> = Found | "other" | "none";

export class LogWalks {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #marks = new BoundedMap<string, number>(marksMax);

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /**
   * Returns the first message from `from` on that `judge` accepts; undefined: this replica has none. `name` identifies
   * the walk. Fails with `unavailable` when it takes too long.
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
