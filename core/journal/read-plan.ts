import type { WeightedVersion } from "../kinds/route/targets.js";

/** Where read calls of a journaled service are sent. */
export interface ReadPlan {
  /** The name that operators see, such as "ledger-writes/reads". */
  readonly name: string;
  readonly replica: Pick<WeightedVersion, "version" | "labels">;
  /** The milliseconds for which a read waits at the replica until the replica has applied a write. */
  readonly waitMs: number;
  /** Returns whether a call that arrives under this method is a read. */
  isRead(method: string): boolean;
}
