import type { Socket } from "node:net";
import type { TapReport } from "../../core/look/look-model.js";
import type { WorkerReport } from "../../core/model.js";
import { onAbort, whenAborted } from "../../runtime/abort.js";
import type { Clock } from "../../runtime/clock.js";
import type { HostPort, SocketAddress } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import type { EdgeAdmission } from "../edge/edge-admission.js";
import type { TurnedAway } from "../edge/edge-limits.js";
import type { MeshPorts } from "../egress/mesh-ports.js";
import type { LimitExchange } from "../limits/limit-exchange.js";
import type { WantedTap } from "../look/call-tap.js";
import type { AppliedView, AppView, PolicyView } from "../ports.js";
import type { Carrying } from "../proxy/carrying.js";
import { edgeLimits, inboundLimits, localLimits } from "../proxy/forward/listener-limits.js";
import type { KindCounts } from "../status/call-table.js";
import { createMetrics } from "../status/metrics.js";
import type { RevisionSpread } from "../sync/revision-spread.js";
import { Acceptor } from "./acceptor.js";
import { Crew } from "./crew.js";
import { CrewApp } from "./crew-app.js";
import { CrewLimits } from "./crew-limits.js";
import { CrewMetrics } from "./crew-metrics.js";
import type { CrewReaches } from "./crew-reaches.js";
import type { CrewTally } from "./crew-tally.js";
import type { CrewWindow } from "./crew-window.js";
import type { ListenerName, WorkerSetup } from "./messages.js";
import { WorkerFeed, type WorkerKnowledge } from "./worker-feed.js";
import type { SpawnWorker } from "./worker-process.js";

export interface WorkerCarrierDeps {
  readonly spawn: SpawnWorker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
}

/** What the first process knows. `limits` is the exchange with other proxies. */
export type CarrierKnowledge = Omit<WorkerKnowledge, "limits" | "app"> & {
  readonly limits: LimitExchange;
  readonly app: AppView & AppliedView;
};

/**
 * Carries calls in worker processes. The first process accepts connections and tells the workers what they must know.
 */
export class WorkerCarrier implements Carrying {
  readonly #deps: WorkerCarrierDeps;
  readonly #crew: Crew;
  readonly #feed: WorkerFeed;
  readonly #acceptors: Acceptor[] = [];
  readonly #life = new AbortController();
  readonly #counted: CrewMetrics;
  readonly metrics: Carrying["metrics"];
  #closed: Promise<void> | undefined;
  /** The number of listeners for applications. A gateway's listeners come after them. */
  #outbounds = Number.POSITIVE_INFINITY;
  #admission: EdgeAdmission | undefined;
  readonly #turnedAway: (reason: TurnedAway) => void;

  /** `count`: the number of workers, at least 1. None runs before `start`. */
  constructor(deps: WorkerCarrierDeps, count: number) {
    this.#deps = deps;
    this.#crew = new Crew(deps, count);
    this.#feed = new WorkerFeed(this.#crew, deps.clock);
    const own = createMetrics();
    this.#counted = new CrewMetrics(this.#crew, deps.clock, own);
    this.#turnedAway = (reason) => own.proxy.handshakeFailed("outbound", reason);
    this.metrics = { watch: own.watch, render: (format) => this.#counted.render(format) };
  }

  /** The calls since the last switch, for the fleet view. */
  get window(): CrewWindow {
    return this.#counted.window;
  }

  /** Returns the workers' shadow counts for heartbeats. */
  get tally(): CrewTally {
    return this.#counted.tally;
  }

  /** Returns which instances of other services the workers could connect to. */
  get reaches(): CrewReaches {
    return this.#counted.reaches;
  }

  /** Returns how many workers there should be, and how many carry calls. */
  report(): WorkerReport {
    const { workers } = this.#crew.state;
    return { wanted: workers.length, serving: workers.filter(({ phase }) => phase === "serving").length };
  }

  /** Makes every worker compile the held revisions. */
  get spread(): RevisionSpread {
    return this.#feed;
  }

  /** Returns the policy that all workers judge by; `policy` is what this process knows. Must be called once. */
  evaluatedByAll(policy: PolicyView): PolicyView {
    return this.#feed.evaluatedByAll(policy, this.#deps.clock);
  }

  /**
   * Starts the workers. Resolves when all carry calls, or when `signal` aborts or the carrier is closed first. Fails
   * with `unavailable` if the workers end as soon as they are started.
   */
  async start(known: CarrierKnowledge, setup: WorkerSetup, signal: AbortSignal): Promise<void> {
    this.#outbounds = setup.options.outbounds.length;
    void this.#counted.measureUntil(this.#life.signal);
    const limits = new CrewLimits(this.#crew, known.limits, this.#deps.clock);
    void limits.run(this.#life.signal);
    const whenGone = (worker: number): void => {
      limits.gone(worker);
      this.#counted.gone(worker);
    };
    const app = new CrewApp(this.#crew, known.app);
    await Promise.race([this.#feed.start({ ...known, limits, app }, setup, whenGone), whenAborted(signal)]);
  }

  async listenInbound(address: HostPort): Promise<HostPort> {
    const { connectionsMax, unprovenMax } = inboundLimits;
    const bound = await this.#accept("inbound", connectionsMax + unprovenMax, address);
    return "path" in bound ? address : bound;
  }

  async listenOutbound(index: number, address: SocketAddress): Promise<SocketAddress> {
    const edge = index - this.#outbounds;
    if (edge < 0) {
      await this.#accept(index, localLimits.connectionsMax, address);
      return address;
    }
    const { connectionsMax, unprovenMax } = edgeLimits;
    return this.#accept(index, connectionsMax + unprovenMax, address, edge);
  }

  /** Lets `admission` count the connections of outside clients. Must be called before `start`. */
  admitClients(admission: EdgeAdmission): void {
    this.#admission = admission;
    this.#crew.clients.onLeft = (listener, address) => admission.closed(listener - this.#outbounds, address);
  }

  /** Tells the workers when `ports` change: services may be added to the process and removed while the workers live. */
  followPorts(ports: Pick<MeshPorts, "all" | "onChange">): void {
    const off = ports.onChange(() => {
      for (const worker of this.#crew.briefed) this.#crew.say(worker, { kind: "mesh-ports", ports: ports.all });
    });
    onAbort(this.#life.signal, off);
  }

  async whenIdle(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#crew.requestAll({ kind: "idle" }), whenAborted(signal)]);
  }

  async drain(): Promise<void> {
    for (const acceptor of this.#acceptors) acceptor.close();
    await this.#crew.requestAll({ kind: "drain" });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  reasonsNotReady(): readonly string[] {
    return this.#crew.state.workers.flatMap(({ phase }, worker) => {
      if (phase === "serving") return [];
      const end = this.#crew.workers[worker]?.lastEnd;
      return [`worker ${worker} does not carry calls${end === undefined ? "" : `: the one before ended with ${end}`}`];
    });
  }

  countCalls(): Promise<readonly KindCounts[]> {
    return this.#counted.countCalls();
  }

  tap(taps: readonly WantedTap[], tell: (report: TapReport) => void): void {
    this.#feed.taps.want(taps, tell);
  }

  /**
   * Hands an accepted connection to a worker. Together the workers may have as many connections of a listener as one
   * proxy. `edge`: the index of a gateway's listener.
   */
  #accept(
    listener: ListenerName,
    connectionsMax: number,
    address: SocketAddress,
    edge?: number,
  ): Promise<SocketAddress> {
    const hand = (socket: Socket): boolean => {
      if (edge === undefined) return this.#crew.hand(listener, socket, connectionsMax);
      const admitted = this.#admission?.opens(edge, socket.remoteAddress, this.#openAt(listener)) ?? {};
      if (typeof admitted === "string") {
        this.#turnedAway(admitted);
        return false;
      }
      const { address } = admitted;
      const isTaken = this.#crew.hand(listener, socket, connectionsMax, address);
      if (!isTaken && address !== undefined) this.#admission?.closed(edge, address);
      return isTaken;
    };
    const acceptor = new Acceptor(hand, this.#deps.log);
    this.#acceptors.push(acceptor);
    return acceptor.listen(address);
  }

  /** Returns how many connections of a listener all workers have. */
  #openAt(listener: ListenerName): number {
    return this.#crew.workers.reduce((open, { connections }) => open + (connections.get(listener) ?? 0), 0);
  }

  async #close(): Promise<void> {
    this.#life.abort();
    this.#feed.stop();
    for (const acceptor of this.#acceptors) acceptor.close();
    await this.#crew.stop();
  }
}
