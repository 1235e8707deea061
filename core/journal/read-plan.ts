import type { WeightedVersion } from "../kinds/route/targets.js";

/** Where calls go that change nothing. */
export interface ReadPlan {
  /** For people: "ledger-writes/reads". */
  readonly name: string;
  readonly replica: Pick<WeightedVersion, "version" | "labels">;
  /** How long a read waits at the replica for a write. */
  readonly waitMs: number;
  /** Whether a call that arrives as this method is a read. */
  isRead(method: string): boolean;
}
