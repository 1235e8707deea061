import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";

/** The dependencies of a log on a stream. */
export interface JetStreamLogDeps {
  readonly bus: Bus;
  readonly dir: string;
  readonly mesh: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes streams that are missing (with the bootstrap credential), if this control plane may. */
  readonly recreateStreams: (() => Promise<void>) | undefined;
}
