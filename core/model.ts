/**
 * The mesh's objects as readonly data. Only `core/wire` makes them from bytes, and a field is optional only where it
 * has to be.
 */
import type { Digest } from "./digest.js";
import type { TrustedEgress } from "./egress/trusted-egress.js";
import type { SpiffeId } from "./identity.js";
import type { Unit } from "./kinds/table.js";
import type { Label } from "./label.js";
import type { ReachReport } from "./reach.js";
import type { PreparedRevision } from "./rollout/prepared-revision.js";
import type { StageOfRollout } from "./rollout/rollout-model.js";
import type { ShadowCounts, ShadowOrder } from "./shadow/shadow-model.js";
import type { TrustedIssuer } from "./token/token-model.js";

// === Policy: the objects themselves are stated in core/kinds ===

export type { Finding, PolicyFile } from "./finding.js";
export type { Assertion } from "./kinds/assertion/assertion.js";
export type { Authorization, AuthorizationRule } from "./kinds/authorization/authorization.js";
export type { HeaderMatch } from "./kinds/route/header-matches.js";
export type {
  HeaderChanges,
  Hedge,
  Mirror,
  Retry,
  Route,
  RouteFault,
  RouteMatch,
  RouteRule,
  Sticky,
  WeightedVersion,
} from "./kinds/route/route.js";
export type { Service } from "./kinds/service/service.js";
export type { PolicyObject, Unit } from "./kinds/table.js";
export { meshUnitName } from "./kinds/unit.js";

/** A unit with its encoded bytes and their digest. */
export interface EncodedUnit {
  readonly unit: Unit;
  readonly bytes: Uint8Array;
  readonly digest: Digest;
}

export interface UnitRef {
  readonly name: string;
  readonly digest: Digest;
}

/**
 * The list of a snapshot: all units of the mesh's policy with their digests, sorted by name. The digest of the list
 * names the snapshot.
 */
export interface SnapshotList {
  readonly units: readonly UnitRef[];
  readonly digest: Digest;
  /** The encoded list. */
  readonly bytes: Uint8Array;
}

// === Records ===

/** A record whose signature was verified, with exactly the bytes that were received. */
export interface Signed<Body> {
  readonly body: Body;
  /** The bytes of the JWS in compact form. */
  readonly bytes: Uint8Array;
  /** SHA-256 of `bytes`. */
  readonly digest: Digest;
  readonly kid: string;
}

export interface UnitChange {
  readonly name: string;
  /** The digest of the unit; undefined if the revision removed it. */
  readonly digest: Digest | undefined;
}

export interface Revision {
  readonly number: number;
  readonly parent: Digest;
  readonly snapshot: Digest;
  readonly changes: readonly UnitChange[];
  readonly author: SpiffeId;
  readonly message: string;
  readonly timeMs: number;
}

export interface Activation {
  readonly epoch: number;
  /** Digest of the activation before; undefined for epoch 1. */
  readonly previous: Digest | undefined;
  readonly revisionNumber: number;
  readonly revisionDigest: Digest;
  readonly author: SpiffeId;
  readonly reason: string;
  /** The revision that was active before this rollback. */
  readonly rollbackOf: number | undefined;
  readonly timeMs: number;
  readonly forced: boolean;
  readonly thresholdPercent: number;
  /** Set if this epoch is a stage of a rollout. `revision` is then the candidate. */
  readonly rollout: StageOfRollout | undefined;
  readonly shadow?: ShadowOrder | undefined;
}

export interface TrustBundle {
  readonly trustDomain: string;
  /** The root certificates, each in DER. */
  readonly x509Roots: readonly Uint8Array[];
}

export interface SigningKey {
  readonly kid: string;
  /** An Ed25519 key, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly holder: string;
}

export interface Revocation {
  readonly serial: string;
  readonly reason: string;
  readonly timeMs: number;
}

export interface Trust {
  readonly sequence: number;
  readonly previous: Digest | undefined;
  readonly bundles: readonly TrustBundle[];
  readonly signingKeys: readonly SigningKey[];
  readonly revocations: readonly Revocation[];
  readonly timeMs: number;
  /** Sorted by name. */
  readonly issuers: readonly TrustedIssuer[];
  /** Sorted by name. */
  readonly egresses: readonly TrustedEgress[];
  /** Who may read the private fields of journals whose policy names nobody; left out: nobody yet. */
  readonly journalHolder?: JournalHolder;
}

export interface JournalHolder {
  /** A public key of X25519, as policy writes one. */
  readonly publicKey: string;
  /** When it was set. */
  readonly sinceMs: number;
}

export interface Freshness {
  readonly epoch: number;
  readonly activation: Digest | undefined;
  readonly trustSequence: number;
  readonly revisionNumber: number;
  readonly issuedMs: number;
  readonly expiresMs: number;
}

/** An order to proxies to prepare a revision that is about to be activated. */
export interface PrepareOrder {
  readonly revision: PreparedRevision;
  /** When the order was issued, in Unix milliseconds. */
  readonly issuedMs: number;
  readonly expiresMs: number;
}

// === Fleet ===

export type { Label } from "./label.js";
export type { PreparedRevision } from "./rollout/prepared-revision.js";

export interface Endpoint {
  readonly proxyId: string;
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** The address of the endpoint, "HOST:PORT". */
  readonly address: string;
  readonly labels: readonly Label[];
  readonly gone: boolean;
  readonly timeMs: number;
  /** Why the application cannot be called now, as its own proxy reports; undefined: it can be called. */
  readonly unhealthy?: string | undefined;
  /** True if the application reports how far it has applied the journal of its service. */
  readonly reportsApplied?: boolean;
}

/** The most bytes of `unhealthy`, in UTF-8. */
export const unhealthyBytesMax = 200;

export interface Rejection {
  readonly number: number;
  readonly digest: Digest;
  readonly reason: string;
}

export interface Heartbeat {
  readonly proxyId: string;
  readonly service: string;
  readonly version: string;
  readonly timeMs: number;
  readonly seenEpoch: number;
  readonly evaluatingEpoch: number;
  readonly evaluatingRevision: number;
  readonly evaluatingDigest: Digest | undefined;
  readonly prepared: readonly PreparedRevision[];
  readonly rejected: Rejection | undefined;
  readonly certificateExpiresMs: number;
  readonly freshnessAgeMs: number;
  readonly lagMs: number;
  readonly trustSequence: number;
  readonly serving: boolean;
  readonly bypassable: readonly string[];
  readonly seenActivation: Digest | undefined;
  readonly leaving: boolean;
  /** Calls since the switch to the epoch that is evaluated; undefined if the proxy does not count them. */
  readonly calls: CallCounts | undefined;
  /** Calls during the last epoch that had another revision; undefined if there was none. */
  readonly callsBefore: CallCounts | undefined;
  /** The labels of the proxy, sorted by key. */
  readonly labels: readonly Label[];
  readonly shadow?: ShadowCounts | undefined;
  /** Which peers the proxy cannot reach; undefined: there is nothing to report. */
  readonly reach?: ReachReport | undefined;
  /** The state of the worker processes; undefined: the proxy has none, or its version does not report it. */
  readonly workers?: WorkerReport | undefined;
}

/** The worker processes of a proxy. */
export interface WorkerReport {
  readonly wanted: number;
  /** The number of workers that carry calls. */
  readonly serving: number;
}

/** Counts of calls that a proxy judged and that have ended. */
export interface CallCounts {
  readonly calls: number;
  /** The number of calls that policy refused. */
  readonly refused: number;
  readonly failed: number;
  /**
   * Counts of calls that were not refused, by duration: entry i counts calls of at most `tookBoundsMs[i]`, the last
   * entry all longer ones. Empty if durations are not counted.
   */
  readonly took: readonly number[];
  /** The methods with the most calls; undefined if the proxy does not count by method. */
  readonly methods?: readonly MethodCounts[] | undefined;
}

/** Counts of one method. For outbound calls, refusals and failures of the other side count too. */
export interface MethodCounts extends Omit<CallCounts, "methods"> {
  readonly outbound: boolean;
  /** The service that was called. */
  readonly service: string;
  /** The method, "package.Service/Method". */
  readonly method: string;
  /**
   * The calling service of inbound calls; `otherCaller` if the caller is no service of this mesh. undefined for
   * outbound calls, and from proxies of earlier versions.
   */
  readonly caller?: string | undefined;
}

/** The name for all other callers; no service can have this name. */
export const otherCaller = "*";

/**
 * The most methods and callers in a heartbeat. Only methods of at most `methodToldMax` characters are counted by name.
 */
export const methodsToldMax = 48;
export const methodToldMax = 200;

/** Upper bounds of the classes of duration, in milliseconds. */
export const tookBoundsMs = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000] as const;
