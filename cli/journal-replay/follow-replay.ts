/**
 * Keeps a target up to date with a journal: replays what is there and what is written later, until it is told to stop.
 */
import { isAshlarError } from "../../core/errors.js";
import type { ReplayJournalResponse } from "../../proto/gen/ashlar/v1/admin.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import { untilLeft } from "../until-left.js";
import type { Replay, ReplayResult } from "./run-replay.js";

export interface FollowDeps {
  readonly clock: Clock;
  /** Asks the control plane for the writes that were settled after a position. */
  open(afterPosition: number): AsyncIterable<ReplayJournalResponse>;
  readonly stopped: Promise<void>;
  progress(text: string): void;
}

/** The milliseconds for which a control plane that is away is asked again. */
const awayMsMax = 60_000;
const retry = { msMin: 200, msMax: 5000 };

/**
 * Resolves when `stopped` does and everything that was begun is done, or at a divergence. Fails as `Replay.run` does,
 * except that a control plane may be away for less than a minute.
 */
export async function followReplay(replay: Replay, deps: FollowDeps): Promise<ReplayResult> {
  const { clock, open, stopped, progress } = deps;
  const backoff = new Backoff(retry);
  let isStopped = false;
  void stopped.then(() => {
    isStopped = true;
  });
  let heardMs = clock.monotonicMs();
  for (;;) {
    try {
      return await replay.run(heard(untilLeft(open(replay.position), stopped)));
    } catch (error) {
      const isAway = isAshlarError(error, "unavailable") && !replay.hasFailed;
      if (!isAway || isStopped || clock.monotonicMs() - heardMs >= awayMsMax) throw error;
      progress(`${error.message}; it is asked again`);
      await Promise.race([clock.sleep(backoff.nextMs()), stopped]);
    }
  }

  async function* heard(messages: AsyncIterable<ReplayJournalResponse>): AsyncGenerator<ReplayJournalResponse> {
    for await (const message of messages) {
      heardMs = clock.monotonicMs();
      backoff.reset();
      yield message;
    }
  }
}
