/**
 * Follows the logs: new records as they are committed, the heads after each reconnect, and a check every ten seconds.
 */

import { messageOf } from "../../core/errors.js";
import { onAbort } from "../../runtime/abort.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { RecordOrigin, RevisionSource } from "./revision-source.js";

export interface FollowLogsDeps {
  readonly source: RevisionSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  receive(origin: RecordOrigin, bytes: Uint8Array): void;
  /** Reads the heads of all logs; never rejects. */
  catchUp(): Promise<void>;
  /** Called about every ten seconds. Never rejects. */
  lookAgain(): Promise<void>;
}

export const lookAgainMs = 10_000;

/** Follows until `signal` aborts. */
export function followLogs(deps: FollowLogsDeps, signal: AbortSignal): void {
  const { source, log, receive, catchUp } = deps;
  const stopStatus = source.onStatus((connected) => {
    if (connected) void catchUp();
  });
  onAbort(signal, stopStatus);
  source
    .follow(receive, () => void catchUp(), signal)
    .catch((error: unknown) => log.error(`following the logs ended: ${messageOf(error)}`));
  if (source.connected) void catchUp();
  void lookAgainRegularly(deps, signal);
}

async function lookAgainRegularly({ clock, random, lookAgain }: FollowLogsDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(lookAgainMs * (0.9 + random() / 5), signal);
    if (!signal.aborted) await lookAgain();
  }
}
