/** The options of an activation, and the dependencies of the code that carries it out. */
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
  /** Reads what rollouts change. */
  readonly affected: AffectedReader;
  /** The approvals; undefined: none are required. */
  readonly approvals?: Pick<Approvals, "require">;
  /** Fails with `stale` while the log is behind what was signed before. */
  readonly beforeSigning?: (signal?: AbortSignal) => Promise<void>;
  /** Prepares the journals that policy names; undefined: no writes are journaled. */
  readonly journals?: Pick<JournalPreparer, "forRevision">;
}

/** How to activate a revision in stages. */
export interface StagedOptions {
  readonly stages: readonly RolloutStage[];
  readonly holdMs: number;
  readonly gates: RolloutGates;
}

export interface ActivateOptions {
  readonly revision: number;
  readonly reason: string;
  /** Continue although proxies are not prepared or have rejected the revision. It is recorded. */
  readonly force: boolean;
  /** The share of live proxies that must be prepared, 1 to 100 percent; 0: all. It is recorded. */
  readonly thresholdPercent: number;
  /** How long to wait for proxies to prepare, in milliseconds; 0: 30 seconds. */
  readonly prepareTimeoutMs: number;
  /** The epoch that must be the head, 0 for an empty log; undefined: any. */
  readonly expectedEpoch?: number | undefined;
  /** The stages; undefined: activate everywhere at once. */
  readonly staged?: StagedOptions | undefined;
  /** End a running rollout instead of being refused because of it. */
  readonly endRollout?: boolean;
}
