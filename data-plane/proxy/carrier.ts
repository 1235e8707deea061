/** Carries a proxy's calls on its listeners and connections. Ports provide what the mesh knows. */
import type { Socket } from "node:net";
import { AshlarError } from "../../core/errors.js";
import { gatewayNameIn, workloadId } from "../../core/identity.js";
import type { OpenBudgets } from "../../core/limit/limiter.js";
import type { Label } from "../../core/model.js";
import type { Clock } from "../../runtime/clock.js";
import type { HostPort, SocketAddress } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import type { EgressOptions } from "../egress/egresses.js";
import { applicationPatienceMs } from "../http2/limits.js";
import type { AppView, CallIdentityView, CallPolicy, FollowedEndpoints, OutsideView, TrustView } from "../ports.js";
import type { TelemetryOptions } from "../telemetry/open-telemetry.js";
import { CallRecorder } from "./call-recorder.js";
import type { CallSideDeps } from "./call-side.js";
import type { DecisionSink } from "./decision-sink.js";
import { keyOf } from "./endpoint-choice.js";
import type { ProxyEngine } from "./forward/proxy-engine.js";
import { upstreamSessionDefaults } from "./forward/upstream-session.js";
import { Inbound, type Journaling, type Reading } from "./inbound.js";
import { mirrorsOpenMax } from "./mirror/mirrored-call.js";
import { Outbound, type OutboundDeps, type OutboundOptions } from "./outbound.js";
import { OutsideGate } from "./outside-gate.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import { Reaches } from "./reaches.js";
import { Traffic } from "./service-traffic.js";
import type { ShadowTally } from "./shadow-tally.js";
import { TlsState } from "./tls-state.js";
import { UpstreamPool } from "./upstream-pool.js";
import type { UpstreamPoolOptions } from "./upstream-target.js";

export interface CarrierDeps {
  readonly identity: CallIdentityView;
  readonly trust: TrustView;
  readonly policy: CallPolicy;
  readonly endpoints: FollowedEndpoints;
  readonly app: AppView;
  readonly metrics: ProxyMetrics;
  readonly engine: ProxyEngine;
  readonly clock: Clock;
  readonly log: Logger;
  /** Returns random numbers, uniform in [0, 1). */
  readonly draw: () => number;
  readonly random: (bytes: number) => Buffer;
  /** Receives recorded decisions. */
  readonly decisions: DecisionSink;
  /** Opens the budgets of rate limits that are shared. Left out: each limit counts this process alone. */
  readonly openBudgets?: OpenBudgets;
  /** Counts the verdicts of a shadow candidate. Left out: no candidate is evaluated. */
  readonly tally?: ShadowTally;
  /** Keeps which instances could be connected to. Left out: only the log says so. */
  readonly reaches?: Reaches;
  /** See `CallSideDeps`. */
  readonly observe?: CallSideDeps["observe"];
  readonly gate?: CallSideDeps["gate"];
  readonly watch?: CallSideDeps["watch"];
  /** See `InboundDeps`. */
  readonly journal?: Journaling | undefined;
  /** See `InboundDeps`. */
  readonly reads?: Reading | undefined;
  /** The destinations outside the mesh. Closed with the carrier. Left out: no call leaves the mesh. */
  readonly outside?: (OutsideView & { close(): void }) | undefined;
  /** What replaces the network in memory. Left out: calls go over the network. */
  readonly memory?: InMemory;
}

/** Replaces the network where calls stay in memory. */
export interface InMemory {
  /** Returns a connection to the target that a pool knows by this key. */
  dial(key: string): Socket;
  /** Says who is at the other end of a connection. */
  readonly tls: TlsState;
}

/** The options of a carrier. They are plain data, because a worker process receives them in a message. */
export interface CarrierOptions {
  readonly mesh: string;
  readonly service: string;
  /** The version of the service, used in metrics. */
  readonly version?: string;
  readonly labels: readonly Label[];
  /** True if calls of other proxies are accepted. */
  readonly inbound: boolean;
  /**
   * One listener for the application per entry. Every call that arrives goes to the entry's service; if undefined,
   * `:authority` names the service.
   */
  readonly outbounds: readonly (string | undefined)[];
  /** The share of decisions other than refusals that is recorded, from 0 to 1. */
  readonly recordShare: number;
  /** The settings of traces and of the access log. Left out: calls are neither traced nor logged. */
  readonly telemetry?: TelemetryOptions;
  /** The settings for calls that leave the mesh. Left out: no call does. */
  readonly egress?: EgressOptions;
  /** The path of the socket that serves the journal's event feed. Left out: there is no event feed. */
  readonly feed?: string | undefined;
}

/** Creates what carries the calls of outside clients, from the dependencies of outbound calls. */
export type MakeEdge = (deps: OutboundDeps, options: Omit<OutboundOptions, "service">) => Outbound;

const admitAgainEveryMs = 30_000;

export class Carrier {
  readonly #inbound: Inbound | OutsideGate | undefined;
  readonly #outbounds: readonly Outbound[];
  readonly #peers: UpstreamPool;
  /** The connections to peer proxies that only copies of calls use, so that no real call waits for a copy. */
  readonly #copies: UpstreamPool;
  readonly #applications: UpstreamPool;
  readonly #engine: ProxyEngine;
  readonly #recorder: CallRecorder;
  readonly #stops: (() => void)[] = [];

  constructor(deps: CarrierDeps, options: CarrierOptions, edges: readonly MakeEdge[] = []) {
    const { draw, engine, app } = deps;
    const { mesh, service, version, labels, recordShare } = options;
    const feed = options.feed === undefined ? undefined : { instance: "feed", target: { path: options.feed } };
    const self = workloadId(mesh, service);
    const recorder = new CallRecorder({ ...deps, sink: deps.decisions }, self, recordShare);
    this.#recorder = recorder;
    const tls = deps.memory?.tls ?? new TlsState(deps);
    const pooled = { random: draw, engine, dial: deps.memory?.dial };
    const traffic = new Traffic({
      ...{ proxyId: deps.identity.current.proxyId, labels, log: deps.log, retries: engine.retries },
      nowMs: () => engine.loop.time(),
      metrics: deps.metrics,
      reaches: deps.reaches ?? new Reaches(() => deps.clock.monotonicMs()),
    });
    this.#engine = engine;
    this.#peers = new UpstreamPool(pooled, poolOptions(true));
    this.#copies = new UpstreamPool(pooled, copyPoolOptions());
    this.#applications = new UpstreamPool(pooled, poolOptions(false));
    const judging = { ...deps, recorder };
    const calling = { ...deps, recorder, tls, traffic, judging, pool: this.#peers, copies: this.#copies };
    const gateway = gatewayNameIn(service);
    if (options.inbound)
      this.#inbound =
        gateway === undefined
          ? new Inbound({ ...deps, recorder, tls, app, feed, pool: this.#applications }, { service, version, labels })
          : new OutsideGate(calling, { mesh, gateway, labels });
    this.#outbounds = [
      ...options.outbounds.map((upstream) => new Outbound(calling, { self, mesh, service: upstream, labels })),
      ...edges.map((make) => make(calling, { self, mesh, labels })),
    ];
    this.#follow(deps, tls);
    engine.overload.onDrain(() => {
      deps.log.warn("the heap is nearly full: callers are asked to go elsewhere", { share: engine.overload.heapShare });
      this.#inbound?.shed();
      for (const edge of this.#outbounds.slice(options.outbounds.length)) edge.shed();
    });
  }

  /** Listens for calls of other proxies. Returns the address with its real port. */
  listenInbound(address: HostPort): Promise<HostPort> {
    if (this.#inbound === undefined) throw new AshlarError("internal", "this proxy takes no calls of other proxies");
    return this.#inbound.listen(address);
  }

  /**
   * Listens for calls of the application, or of outside clients. `index` is the place in the options' `outbounds`,
   * after which the edges come. Returns the address with its real port.
   */
  async listenOutbound<Address extends SocketAddress>(index: number, address: Address): Promise<Address> {
    return (await this.#outbounds[index]?.listen(address)) ?? address;
  }

  /** Takes a connection that another process accepted. `listener`: "inbound", or an index into `outbounds`. */
  take(listener: "inbound" | number, socket: Socket): void {
    const taker = listener === "inbound" ? this.#inbound : this.#outbounds[listener];
    if (taker === undefined) socket.destroy();
    else taker.take(socket);
  }

  /** Takes an in-memory connection of another proxy. */
  takeProven(socket: Socket): void {
    if (this.#inbound === undefined) socket.destroy();
    else this.#inbound.takeProven(socket);
  }

  /** Reports at how many workers the network of an outside client has connections to a gateway's listener. */
  spread(listener: number, address: string, workers: number): void {
    this.#outbounds[listener]?.spread(address, workers);
  }

  /** Resolves when no call is open at the application, or when `signal` aborts. */
  async whenIdle(signal: AbortSignal): Promise<void> {
    await this.#inbound?.open.whenNone(signal);
  }

  /** Accepts no new connection and sends GOAWAY to clients. Resolves when the last call has ended. */
  async drain(): Promise<void> {
    await Promise.all([this.#inbound?.drain(), ...this.#outbounds.map((outbound) => outbound.drain())]);
  }

  /** Closes everything at once. Open calls end with a reason. */
  close(): void {
    for (const stop of this.#stops.splice(0)) stop();
    this.#inbound?.close();
    for (const outbound of this.#outbounds) outbound.close();
    this.#peers.close();
    this.#copies.close();
    this.#applications.close();
    this.#engine.stop();
    this.#recorder.close();
  }

  /** Subscribes to changes of the identity, trust, endpoints and application. */
  #follow({ identity, trust, endpoints, app, outside }: CarrierDeps, tls: TlsState): void {
    const inbound = this.#inbound;
    const pools = [this.#peers, this.#copies];
    const closeUntrusted = (): void => {
      for (const pool of pools) pool.closeWhere((socket) => !(outside?.isTrusted(socket) ?? tls.isVerified(socket)));
    };
    const retireAll = (): void => {
      for (const pool of pools) pool.retireAll();
    };
    const admitAgain = setInterval(() => {
      inbound?.admitAgain();
      for (const outbound of this.#outbounds) outbound.admitAgain(); // those for outside clients
      closeUntrusted(); // certificates expire on open connections, in both roles
    }, admitAgainEveryMs).unref();
    this.#stops.push(
      () => clearInterval(admitAgain),
      () => outside?.close(),
      identity.onRotate(() => {
        inbound?.refreshTls();
        retireAll();
      }),
      trust.onChange(() => {
        inbound?.refreshTls();
        inbound?.refreshTokens();
        closeUntrusted();
        retireAll();
      }),
      endpoints.onChange((service) => {
        const live = new Set(endpoints.endpoints(service).map((endpoint) => keyOf(service, endpoint)));
        for (const pool of pools) pool.evict((key) => !key.startsWith(`${service} `) || live.has(key));
      }),
      app.onChange(() => this.#applications.evict(() => false)),
    );
  }
}

/** The pool options for copies: few connections, and few copies that wait for one. Further copies are dropped. */
function copyPoolOptions(): UpstreamPoolOptions {
  return {
    ...poolOptions(true),
    connectionsMaxPerTarget: 2,
    narrowMaxPerTarget: 2,
    waitingMaxPerTarget: mirrorsOpenMax,
  };
}

function poolOptions(toProxy: boolean): UpstreamPoolOptions {
  // A stuck application is waited for: its calls end by their own deadlines.
  const prefaceTimeoutMs = toProxy ? upstreamSessionDefaults.prefaceTimeoutMs : applicationPatienceMs;
  // A proxy accepts all of them.
  const keepalivesAtPaceMax = toProxy ? Number.POSITIVE_INFINITY : upstreamSessionDefaults.keepalivesAtPaceMax;
  return {
    connectionsMaxPerTarget: 16,
    narrowMaxPerTarget: 64,
    finishingMaxPerTarget: 1024,
    waitingMaxPerTarget: 4096,
    dialsMax: 64,
    redialMsMin: 100,
    redialMsMax: 5000,
    session: { ...upstreamSessionDefaults, prefaceTimeoutMs, keepalivesAtPaceMax, toProxy },
  };
}
