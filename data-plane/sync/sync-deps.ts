/** The dependencies of the sync loop. */
import type { Revision, Signed } from "../../core/model.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { CalledServices } from "./called-services.js";
import type { DiskCache } from "./disk-cache.js";
import type { HeldRevision } from "./held-revision.js";
import type { RecordJudge } from "./record-judge.js";
import type { RevisionSource } from "./revision-source.js";
import type { RevisionSpread } from "./revision-spread.js";
import type { SyncStart } from "./sync-model.js";

export interface SyncLoopDeps {
  readonly source: RevisionSource;
  readonly cache: DiskCache;
  readonly judge: RecordJudge;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly spread: RevisionSpread | undefined;
}

/** The verified state that the loop begins with, from disk or from joining. */
export interface SyncBegin {
  readonly start: SyncStart;
  readonly held: readonly HeldRevision[];
  readonly revisions: readonly Signed<Revision>[];
  readonly called: CalledServices;
  readonly lagMs: number;
}

export interface SyncLoopOptions {
  readonly mesh: string;
  readonly service: string;
  readonly upstreams: readonly string[];
  /** How often a freshness statement is expected, in milliseconds. */
  readonly freshnessIntervalMs: number;
}
