/**
 * The mesh's objects as readonly data. Only `core/wire` turns bytes into these,
 * and past that line nothing is optional that need not be.
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

/** The whole mesh's policy: the list of units that its digest names, sorted by name. */
export interface SnapshotList {
  readonly units: readonly UnitRef[];
  readonly digest: Digest;
  /** The encoded list. */
  readonly bytes: Uint8Array;
}

// === Records ===

/** A record whose signature held, with the very bytes that were received. */
export interface Signed<Body> {
  readonly body: Body;
  /** The JWS in compact form. */
  readonly bytes: Uint8Array;
  /** SHA-256 of `bytes`. */
  readonly digest: Digest;
  readonly kid: string;
}

export interface UnitChange {
  readonly name: string;
  /** undefined if the revision removed the unit. */
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
  /** DER. */
  readonly x509Roots: readonly Uint8Array[];
}

export interface SigningKey {
  readonly kid: string;
  /** Ed25519, 32 bytes. */
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
}

export interface Freshness {
  readonly epoch: number;
  readonly activation: Digest | undefined;
  readonly trustSequence: number;
  readonly revisionNumber: number;
  readonly issuedMs: number;
  readonly expiresMs: number;
}

/** Asks proxies to prepare a revision that is about to be activated. */
export interface PrepareOrder {
  readonly revision: PreparedRevision;
  /** Unix milliseconds. */
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
  /** "HOST:PORT". */
  readonly address: string;
  readonly labels: readonly Label[];
  readonly gone: boolean;
  readonly timeMs: number;
  /** Why the application cannot be called now, as its own proxy says; undefined: it can. */
  readonly unhealthy?: string | undefined;
  /** Its application has said how far it has applied the journal of its service. */
  readonly reportsApplied?: boolean;
}

/** No reason for it is longer. */
export const unhealthyLengthMax = 200;

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
  /** Calls of the last epoch that had another revision; undefined if there was none. */
  readonly callsBefore: CallCounts | undefined;
  /** Sorted by key. */
  readonly labels: readonly Label[];
  readonly shadow?: ShadowCounts | undefined;
  /** undefined: nothing to tell. */
  readonly reach?: ReachReport | undefined;
  /** undefined: the proxy carries its calls itself, or its version does not say. */
  readonly workers?: WorkerReport | undefined;
}

/** The worker processes of a proxy. */
export interface WorkerReport {
  readonly wanted: number;
  /** Those that carry calls. */
  readonly serving: number;
}

/** Calls that a proxy has judged and that have ended. */
export interface CallCounts {
  readonly calls: number;
  /** Refused by policy. */
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
  /** The service that is called. */
  readonly service: string;
  /** "package.Service/Method". */
  readonly method: string;
  /**
   * The service that calls, for calls that come in; `otherCaller` if it is none of this mesh. undefined: not told, as by
   * proxies of earlier versions, and of calls that go out.
   */
  readonly caller?: string | undefined;
}

/** No service has this name. */
export const otherCaller = "*";

/** A heartbeat counts at most so many methods and callers, and only methods of at most `methodToldMax` characters. */
export const methodsToldMax = 48;
export const methodToldMax = 200;

/** Upper bounds of the duration classes, in milliseconds. */
export const tookBoundsMs = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000] as const;
