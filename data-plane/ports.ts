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
  /** The certificate chain in PEM, the leaf first. */
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  /** The certificate's serial number in lower-case hexadecimal. */
  readonly serial: string;
  readonly notAfterMs: number;
}

export interface CallIdentityView {
  readonly current: CallIdentity;
  /** Calls `listener` after each renewal. Returns a function that removes the listener. */
  onRotate(listener: () => void): () => void;
}

/** The identity with its NATS credentials, which carrying calls does not need. */
export interface ProxyIdentity extends CallIdentity {
  readonly natsServers: readonly string[];
  readonly natsJwt: string;
  readonly natsSeed: string;
  readonly natsCaPem: string;
  /** Unsigned statements of older proxies count until this time, in Unix milliseconds. 0: they never count. */
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
  /** The issuers of tokens, with their keys. The same list object is returned until the list changes. */
  readonly issuers: readonly TrustedIssuer[];
  /** The egresses and their addresses. The same list object is returned until the list changes. */
  readonly egresses: readonly TrustedEgress[];
  onChange(listener: () => void): () => void;
}

/** The policy that calls are judged by; replaced as a whole at each switch. */
export interface EvaluatedPolicy {
  readonly epoch: number;
  readonly revision: number;
  readonly revisionDigest: Digest;
  /**
   * Returns the compiled unit of a service if this proxy holds it. It always holds its own, and others once they were
   * used.
   */
  unit(service: string): CompiledUnit | undefined;
  /** Whether the revision contains the service. */
  has(service: string): boolean;
  /** Which calls to a service are traced and logged: by the service's own policy or, without one, by the mesh's. */
  telemetry(service: string): CompiledTelemetry;
  /** The policy's JwtIssuers. The same list object is returned until the list changes. */
  readonly issuers: readonly JwtIssuer[];
}

/** A candidate policy that also judges calls, but enforces nothing. */
export interface ShadowPolicy {
  /** The candidate. Its epoch is the epoch of the activation that started the shadow. */
  readonly policy: EvaluatedPolicy;
  /** The share of calls that the candidate judges, above 0 and up to 1. */
  readonly share: number;
}

/** The policy that calls are judged by. */
export interface CallPolicy {
  /**
   * The evaluated policy. undefined: no revision is active, or none could be prepared. Calls are then answered
   * UNAVAILABLE.
   */
  readonly current: EvaluatedPolicy | undefined;
  /** The shadow candidate. undefined: no shadow was started, or this proxy does not hold the candidate. */
  readonly shadow?: ShadowPolicy | undefined;
  /** The highest epoch that was verified (I2); sent to peers as a hint. */
  readonly seenEpoch: number;
  /** Milliseconds since the last valid freshness statement; Infinity before the first. */
  readonly freshnessAgeMs: number;
  /**
   * Calls `listener` after each switch, with the policy that is evaluated from then on. Returns a function that removes
   * it.
   */
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
  /** Whether the evaluated epoch is a stage of a rollout. The rollout's gates then need counts of calls by method. */
  readonly isStaged: boolean;
  readonly seenActivation: Digest | undefined;
}

/** The endpoints of services. They stay known while NATS is away. */
export interface EndpointView {
  /**
   * Returns the live instances of `service`, which may be this proxy's own. The first call begins to follow the
   * service.
   */
  endpoints(service: string): readonly Endpoint[];
  /** Resolves when the first list of `service` was read, or when NATS is away. */
  ready(service: string): Promise<void>;
}

export interface FollowedEndpoints extends EndpointView {
  /** Calls `listener` with a service's name when the service's live instances changed. */
  onChange(listener: (service: string) => void): () => void;
}

/** How calls to an Egress leave the mesh. The same object is returned until the trust log changes the egress. */
export interface OutsideWay {
  /** Whether this process connects to the egress itself. Otherwise a gateway does. */
  readonly isDirect: boolean;
  /** The name of the gateway through which calls leave the mesh. "": they leave from the caller's own proxy. */
  readonly gateway: string;
  /** The `:authority` that calls to the egress get. */
  readonly authority: string;
}

/** The destinations outside the mesh. Their endpoints are listed by an `EndpointView`. */
export interface OutsideView {
  /** Returns how calls to an egress leave the mesh. undefined: the trust log does not name the egress. */
  find(name: string): OutsideWay | undefined;
  /** Whether the egress's endpoints are not known yet. `EndpointView.ready` waits for them. */
  isPending(name: string): boolean;
  /** Returns the gateway that takes calls to an endpoint. undefined: no gateway does. */
  gatewayOf(endpoint: Endpoint): string | undefined;
  /** Whether an endpoint is an address outside the mesh. */
  isOutside(endpoint: Endpoint): boolean;
  /**
   * Connects to an endpoint outside the mesh and proves its identity. undefined: the endpoint is not outside the mesh.
   */
  dial(endpoint: Endpoint, after: AfterTime): Promise<Socket> | undefined;
  /** Whether the trust log still allows a connection. undefined: the connection does not lead outside the mesh. */
  isTrusted(socket: Socket): boolean | undefined;
  /** Returns why an egress has no endpoints. "": it has some. */
  whyNone(name: string): string;
}

/** The application behind this proxy, as an SDK's agent or the flag `--app` registered it. */
export interface AppRegistration {
  readonly instance: string;
  /** The application's address for HTTP/2 without TLS: a Unix path or a loopback address. */
  readonly target: { readonly path: string } | { readonly host: string; readonly port: number };
}

/** The writes of its service's journal that the application says it has applied. */
export interface AppliedView {
  /** The writes applied so far. undefined: no application is registered, or the application has never reported any. */
  readonly applied: AppliedWrites | undefined;
  /**
   * Calls `listener` after each report, with what is new in it, and with undefined when another application takes over.
   */
  onApplied(listener: (report: AppliedReport | undefined) => void): () => void;
}

export interface AppView {
  /** The registered application. undefined: there is none, and inbound calls are answered UNAVAILABLE. */
  readonly current: AppRegistration | undefined;
  onChange(listener: (app: AppRegistration | undefined) => void): () => void;
  /**
   * Reports that the application's socket refused a connection. The application is then gone at once, whatever its
   * lease says.
   */
  reportRefused(app: AppRegistration): void;
}
