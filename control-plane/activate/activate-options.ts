/** What is asked of an activation, and what carries it out works with. */
import type { RolloutGates, RolloutStage } from "../../core/rollout/rollout-model.js";
import type { Signer } from "../../core/signature.js";
import type { Clock } from "../../runtime/clock.js";
import type { AuditTrail } from "../audit/audit-trail.js";
import type { FleetView } from "../fleet/fleet-loop.js";
import type { JournalPreparer } from "../journal/wanted-journals.js";
import type { AffectedReader } from "../rollout/affected-reader.js";
import type { Ledger } from "../store/ledger.js";
import type { Approvals } from "./approvals.js";

export interface ActivatorDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "revisions" | "activations" | "rollouts">;
  readonly fleet: FleetView;
  readonly signer: Signer;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** What rollouts change. */
  readonly affected: AffectedReader;
  /** undefined: none are asked for. */
  readonly approvals?: Pick<Approvals, "require">;
  /** Fails with `stale` while the log is behind what was signed before. */
  readonly beforeSigning?: (signal?: AbortSignal) => Promise<void>;
  /** undefined: nobody's writes are journaled. */
  readonly journals?: Pick<JournalPreparer, "forRevision">;
}

/** How a revision is to be activated in stages. */
export interface StagedOptions {
  readonly stages: readonly RolloutStage[];
  readonly holdMs: number;
  readonly gates: RolloutGates;
}

export interface ActivateOptions {
  readonly revision: number;
  readonly reason: string;
  /** Go on although proxies are not prepared or have rejected it. Recorded. */
  readonly force: boolean;
  /** The share of live proxies that has to be prepared, 1 to 100; 0: all. Recorded. */
  readonly thresholdPercent: number;
  /** 0: 30 seconds. */
  readonly prepareTimeoutMs: number;
  /** The epoch that has to be the head, 0 for an empty log; undefined: whatever it is. */
  readonly expectedEpoch?: number | undefined;
  /** In stages; undefined: for everyone at once. */
  readonly staged?: StagedOptions | undefined;
  /** End a rollout that runs, rather than be refused. */
  readonly endRollout?: boolean;
}
