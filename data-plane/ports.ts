/** Interfaces between the parts of a proxy. `app.ts` and `app-worker.ts` connect them with implementations. */

import type { Socket } from "node:net";
import type { Digest } from "../core/digest.js";
import type { TrustedEgress } from "../core/egress/trusted-egress.js";
import type { SpiffeId } from "../core/identity.js";
import type { JwtIssuer } from "../core/kinds/jwt-issuer/jwt-issuer.js";
import type { Endpoint, PreparedRevision, Rejection } from "../core/model.js";
import type { CompiledUnit } from "../core/policy/compile.js";
import type { CompiledTelemetry } from "../core/policy/compiled-telemetry.js";
import type { TrustedIssuer } from "../core/token/token-model.js";
import type { AfterTime } from "../runtime/lost-time.js";
import type { AppliedReport, AppliedWrites } from "./agent/applied-writes.js";

/** The proxy's identity with what calls need for TLS. Each renewal replaces the whole object. */
export interface CallIdentity {
  readonly mesh: string;
  readonly proxyId: string;
  readonly service: string;
  readonly version: string;
  readonly spiffeId: SpiffeId;
  /** PEM, leaf first. */
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notAfterMs: number;
}

export interface CallIdentityView {
  readonly current: CallIdentity;
  /** Calls `listener` after each renewal. Returns the way to stop it. */
  onRotate(listener: () => void): () => void;
}

/** The identity with NATS credentials, which calls do not need. */
export interface ProxyIdentity extends CallIdentity {
  readonly natsServers: readonly string[];
  readonly natsJwt: string;
  readonly natsSeed: string;
  readonly natsCaPem: string;
  /** Unix milliseconds until which unsigned statements of older proxies count; 0: never. */
  readonly unsignedUntilMs: number;
}

export interface IdentityView {
  readonly current: ProxyIdentity;
  onRotate(listener: (identity: ProxyIdentity) => void): () => void;
}

/** The roots and revocations that TLS connections are judged by. */
export interface TrustView {
  readonly sequence: number;
  /** PEM roots of this mesh's trust domain. */
  readonly rootsPem: readonly string[];
  isRevoked(serial: string): boolean;
  /** The issuers of tokens with their keys. The same list object is returned until it changes. */
  readonly issuers: readonly TrustedIssuer[];
  /** Where egresses are. The same list object is returned until it changes. */
  readonly egresses: readonly TrustedEgress[];
  onChange(listener: () => void): () => void;
}

/** The policy that calls are judged by; replaced as a whole at each switch. */
export interface EvaluatedPolicy {
  readonly epoch: number;
  readonly revision: number;
  readonly revisionDigest: Digest;
  /** The compiled unit of a service if this proxy holds it: its own always, others once used. */
  unit(service: string): CompiledUnit | undefined;
  /** Whether the revision has the service at all. */
  has(service: string): boolean;
  /** Which calls to a service leave traces and lines in the access log: as it says itself, or the mesh. */
  telemetry(service: string): CompiledTelemetry;
  /** The JwtIssuers of the policy. The same list object is returned until it changes. */
  readonly issuers: readonly JwtIssuer[];
}

/** A candidate that is asked about calls too, without enforcing anything. */
export interface ShadowPolicy {
  /** The candidate. Its epoch is that of the activation that started the shadow. */
  readonly policy: EvaluatedPolicy;
  /** The share of calls, above 0 and up to 1. */
  readonly share: number;
}

/** The policy that calls are judged by. */
export interface CallPolicy {
  /** undefined if no revision is active or none could be prepared; calls are then answered 14. */
  readonly current: EvaluatedPolicy | undefined;
  /** undefined if no shadow was started, or the candidate is not held. */
  readonly shadow?: ShadowPolicy | undefined;
  /** The highest epoch that was verified (I2); sent to peers as a hint. */
  readonly seenEpoch: number;
  /** Milliseconds since the last valid freshness statement; Infinity before the first. */
  readonly freshnessAgeMs: number;
  /** Calls `listener` after each switch, with the policy that is evaluated from now on. */
  onSwitch(listener: (policy: EvaluatedPolicy) => void): () => void;
  /**
   * Makes sure that `service`'s unit is held by the evaluated policy, fetching it if need be, and
   * notes the service as used (it joins the prepare set for 24 hours). False: the revision has no such
   * service; fails with `unavailable` when it cannot be had within the bound (2 s).
   */
  useService(service: string): Promise<boolean>;
  /**
   * An authenticated peer says it has seen `epoch`. If that is news, reads the log (one read shared by
   * all calls, bounded by 250 ms, limited per peer) and resolves when it is known or the bound ends.
   */
  hearOfEpoch(epoch: number, peer: string): Promise<void>;
}

/** The policy view with the values that heartbeats report (I7). */
export interface PolicyView extends CallPolicy {
  readonly prepared: readonly PreparedRevision[];
  readonly rejected: Rejection | undefined;
  /** Milliseconds from the activation's time to this proxy's switch. */
  readonly lagMs: number;
  readonly trustSequence: number;
  /** The epoch that is evaluated is a stage of a rollout: the gates ask for calls by method. */
  readonly isStaged: boolean;
  readonly seenActivation: Digest | undefined;
}

/** The endpoints of services. They are kept when NATS is lost. */
export interface EndpointView {
  /** Live instances of `service`, this proxy's own service included. Starts to follow the service on first use. */
  endpoints(service: string): readonly Endpoint[];
  /** Resolves when the first list of `service` has been read (or NATS is away). */
  ready(service: string): Promise<void>;
}

export interface FollowedEndpoints extends EndpointView {
  /** Calls `listener` with a service's name when its live instances changed. */
  onChange(listener: (service: string) => void): () => void;
}

/** How the calls of an Egress leave the mesh. The same object is returned until the trust log says otherwise. */
export interface OutsideWay {
  /** Whether this process calls it; otherwise a gateway does. */
  readonly isDirect: boolean;
  /** The gateway that its calls leave the mesh by; "": the caller's own proxy. */
  readonly gateway: string;
  /** What a call there has as `:authority`. */
  readonly authority: string;
}

/** What is outside the mesh. Its endpoints are those of an `EndpointView`. */
export interface OutsideView {
  /** Returns undefined if the trust log does not say where it is. */
  find(name: string): OutsideWay | undefined;
  /** Whether its endpoints are not known yet: `EndpointView.ready` waits for them. */
  isPending(name: string): boolean;
  /** The gateway that takes the calls to an endpoint; undefined: none does. */
  gatewayOf(endpoint: Endpoint): string | undefined;
  /** Whether an endpoint is an address outside. */
  isOutside(endpoint: Endpoint): boolean;
  /** Connects to an endpoint outside, with proof of who it is. undefined: it is none. */
  dial(endpoint: Endpoint, after: AfterTime): Promise<Socket> | undefined;
  /** Whether a connection may go on, by what the trust log says now. undefined: it does not lead outside. */
  isTrusted(socket: Socket): boolean | undefined;
  /** Says why an egress has no endpoints; "": it has some. */
  whyNone(name: string): string;
}

/** The application behind this proxy, as the agent or `--app` registered it. */
export interface AppRegistration {
  readonly instance: string;
  /** The application's address for HTTP/2 without TLS: a Unix path or a loopback address. */
  readonly target: { readonly path: string } | { readonly host: string; readonly port: number };
}

/** What the application says that it has applied of its service's journal. */
export interface AppliedView {
  /** undefined: no application is registered, or it has never said how far it is. */
  readonly applied: AppliedWrites | undefined;
  /** Calls `listener` after each report, and when another application's count. `report`: what is new; undefined: all is. */
  onApplied(listener: (report: AppliedReport | undefined) => void): () => void;
}

export interface AppView {
  /** undefined if no application is registered; inbound calls are then answered 14. */
  readonly current: AppRegistration | undefined;
  onChange(listener: (app: AppRegistration | undefined) => void): () => void;
  /** The application's socket refused: it is gone at once, whatever its lease says. */
  reportRefused(app: AppRegistration): void;
}
