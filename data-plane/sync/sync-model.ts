/** The state, events and effects of the sync machine. */
import type { Digest } from "../../core/digest.js";
import type { Activation, Freshness, PreparedRevision, Rejection, Revision, Signed, Trust } from "../../core/model.js";
import type { LogName } from "../../core/wire/subjects.js";
import type { Chain, KeyRange } from "./chain-state.js";

/** The logs whose records form a chain for a reader. */
export type ChainName = Exclude<LogName, "revisions">;

export interface SyncState {
  /** The proxy's id. It decides what the proxy evaluates while a rollout runs. */
  readonly proxyId: string;
  readonly activations: Chain<Activation>;
  readonly trust: Chain<Trust>;
  /** The floor on disk. The proxy acts on nothing above it. */
  readonly saved: Floor;
  readonly saving: boolean;
  /** The trust record in force. */
  readonly trusting: Signed<Trust> | undefined;
  readonly evaluating: Signed<Activation> | undefined;
  readonly prepared: readonly PreparedRevision[];
  /** The revisions that were requested and not answered: one urgent and one other. */
  readonly preparing: readonly Digest[];
  /** The revisions that could not be fetched. They are requested again at the next `retry`. */
  readonly failed: readonly Digest[];
  readonly rejected: readonly Refusal[];
  /** The revisions that were active last, newest first. */
  readonly history: readonly PreparedRevision[];
  /**
   * The revisions that a control plane ordered to be prepared because they are about to be activated, the latest first.
   */
  readonly ordered: readonly PreparedRevision[];
  /** The newest published revisions, newest first. */
  readonly published: readonly PreparedRevision[];
  /**
   * The ranges that are being read, or were read without finding the link. They are requested again at the next
   * `retry`.
   */
  readonly reading: Readonly<Partial<Record<ChainName, KeyRange>>>;
  readonly freshness: Freshness | undefined;
}

/** A rejection. Not `final`: the bytes were damaged, not their content wrong, so they are fetched again. */
export interface Refusal extends Rejection {
  readonly final: boolean;
}

/** The heads that are on disk. */
export interface Floor {
  readonly epoch: number;
  readonly sequence: number;
  /** The digests of the heads, sorted. */
  readonly digests: readonly Digest[];
}

export type SyncEvent =
  | { readonly kind: "revision"; readonly record: Signed<Revision> }
  | { readonly kind: "activation"; readonly record: Signed<Activation> }
  | { readonly kind: "trust"; readonly record: Signed<Trust> }
  | { readonly kind: "freshness"; readonly freshness: Freshness }
  | { readonly kind: "ordered"; readonly revision: PreparedRevision }
  /** No order came for some time: whoever was about to activate has done so or given up. */
  | { readonly kind: "orders-over" }
  | { readonly kind: "range-read"; readonly log: ChainName; readonly range: KeyRange }
  | { readonly kind: "floor-saved"; readonly floor: Floor }
  | { readonly kind: "floor-failed" }
  | { readonly kind: "prepared"; readonly revision: PreparedRevision }
  | { readonly kind: "rejected"; readonly rejection: Rejection; readonly final: boolean }
  | { readonly kind: "prepare-failed"; readonly digest: Digest }
  | { readonly kind: "epoch-hint"; readonly epoch: number }
  /** Retries what failed and looks for what is missing. */
  | { readonly kind: "retry" };

export type SyncEffect =
  /** Writes the heads of both chains to disk; answered by `floor-saved` or `floor-failed`. */
  | {
      readonly kind: "save-floor";
      readonly floor: Floor;
      readonly activations: readonly Signed<Activation>[];
      readonly trust: readonly Signed<Trust>[];
    }
  | { readonly kind: "read-head"; readonly log: LogName }
  /** Reads a range. The records follow as events, then `range-read`. */
  | { readonly kind: "read-range"; readonly log: ChainName; readonly range: KeyRange }
  /** Prepares a revision. The answer is the event `prepared`, `rejected` or `prepare-failed`. */
  | { readonly kind: "prepare"; readonly revision: PreparedRevision }
  | { readonly kind: "drop"; readonly digest: Digest }
  | { readonly kind: "switch"; readonly activation: Signed<Activation> }
  | { readonly kind: "trust-changed"; readonly trust: Signed<Trust> }
  /** Sends a heartbeat soon. */
  | { readonly kind: "report" }
  | { readonly kind: "alarm"; readonly message: string };

export interface SyncStep {
  readonly state: SyncState;
  readonly effects: readonly SyncEffect[];
}

/** The verified state at the start: from disk, or from joining at the first start. */
export interface SyncStart {
  readonly proxyId: string;
  readonly activations: readonly Signed<Activation>[];
  readonly trust: readonly Signed<Trust>[];
  /** True if these heads are on disk. */
  readonly onDisk: boolean;
  readonly trusting: Signed<Trust> | undefined;
  readonly evaluating: Signed<Activation> | undefined;
  readonly prepared: readonly PreparedRevision[];
  readonly history: readonly PreparedRevision[];
}
