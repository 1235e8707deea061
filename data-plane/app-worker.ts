/** Constructs a worker process's part: it carries calls with the state that the first process sends it. */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { messageOf } from "../core/errors.js";
import { encodeTapReport } from "../core/wire/look.js";
import { systemClock } from "../runtime/clock.js";
import { createLogger, type Logger } from "../runtime/log.js";
import { pooledRandomBytes } from "../runtime/random-pool.js";
import { StatementReader } from "../runtime/statement-reader.js";
import { StatementWriter } from "../runtime/statement-writer.js";
import { Egresses } from "./egress/egresses.js";
import type { MeshPort } from "./egress/inside.js";
import { Journal, keysOf } from "./journal/journal.js";
import { ReadWaits } from "./journal/read-waits.js";
import { ShareLoop } from "./limits/share-loop.js";
import { CallTap, type WantedTap } from "./look/call-tap.js";
import { Carrier, type MakeEdge } from "./proxy/carrier.js";
import { createProxyEngine, logFault, type ProxyEngine } from "./proxy/forward/proxy-engine.js";
import { Reaches } from "./proxy/reaches.js";
import { ShadowTally } from "./proxy/shadow-tally.js";
import { CallWindow, countedTwice } from "./status/call-window.js";
import { createMetrics, type Metrics } from "./status/metrics.js";
import { type OpenedTelemetry, openTelemetry } from "./telemetry/open-telemetry.js";
import { tableCounts } from "./workers/crew-calls.js";
import type { Measure } from "./workers/crew-metrics.js";
import type { FromWorker, Line, ToWorker, WorkerSetup, WorkerTask } from "./workers/messages.js";
import { WorkerPorts } from "./workers/worker-ports.js";

const noLimit = new AbortController().signal;

/** The first state that a worker receives, and the channel to the first process. */
export type WorkerLine = Line<FromWorker, ToWorker>;

/**
 * Greets the first process and follows its messages until `end` is called, when it is told to close or cannot go on.
 */
export function startWorker(line: WorkerLine, end: () => void): void {
  let worker: Worker | undefined;
  line.onMessage((message, socket) => {
    if (message.kind === "setup") worker = new Worker(line, message.setup, end);
    else if (worker === undefined) socket?.destroy();
    else worker.take(message, socket);
  });
  line.send({ kind: "hello" });
}

class Worker {
  readonly #line: WorkerLine;
  readonly #setup: WorkerSetup;
  readonly #log: Logger;
  readonly #end: () => void;
  readonly #ports: WorkerPorts;
  readonly #engine: ProxyEngine;
  readonly #metrics: Metrics;
  readonly #window = new CallWindow(undefined);
  readonly #tally = new ShadowTally();
  /** The ports of the mesh in the first process. The array stays the same object; its content changes. */
  readonly #meshPorts: MeshPort[] = [];
  readonly #reaches = new Reaches(() => systemClock.monotonicMs());
  #outside: Egresses | undefined;
  /** Constructed when the first identity arrives. */
  #carrier: Carrier | undefined;
  /** Resolves when there is a carrier. */
  #opening: Promise<void> | undefined;
  #telemetry: OpenedTelemetry | undefined;
  /** Ends what outlives calls. */
  readonly #life = new AbortController();
  #tapped = false;
  readonly #tap = new CallTap(systemClock, (report) => {
    const bytes = encodeTapReport(report, this.#ports.identity.current);
    this.#line.send({ kind: "tapped", report: bytes });
  });

  constructor(line: WorkerLine, setup: WorkerSetup, end: () => void) {
    this.#line = line;
    this.#setup = setup;
    this.#end = end;
    this.#meshPorts.push(...(setup.options.egress?.own ?? []));
    this.#log = createLogger(setup.log);
    const nowMs = (): number => systemClock.monotonicMs();
    const onFault = (error: unknown): void => logFault(this.#log, error);
    this.#engine = createProxyEngine(nowMs, onFault, setup.engine, undefined, this.#log);
    this.#metrics = createMetrics(this.#engine.counters, this.#engine);
    this.#metrics.reportShadow(() => this.#tally.totals);
    this.#metrics.reportReaches(() => this.#reaches.countUnreached());
    const { rootPublicKey, workers } = setup;
    this.#ports = new WorkerPorts(
      { clock: systemClock, log: this.#log, send: (message) => line.send(message) },
      { mesh: setup.options.mesh, rootPublicKey, workers },
    );
    // Registered first, so that the window counts the calls that a switch ends.
    this.#ports.policy.onSwitch(({ revisionDigest }) => this.#window.switched(revisionDigest));
  }

  take(message: Exclude<ToWorker, { kind: "setup" }>, socket: Socket | undefined): void {
    switch (message.kind) {
      case "task":
        void this.#perform(message.task, message.what);
        return;
      case "connection":
        this.#connect(message, socket);
        return;
      case "mesh-ports":
        this.#meshPorts.splice(0, this.#meshPorts.length, ...message.ports);
        this.#outside?.portsChanged();
        return;
      case "spread":
        this.#carrier?.spread(message.listener, message.address, message.workers);
        return;
      case "taps":
        this.#taps(message.taps);
        return;
      case "close":
        this.#life.abort();
        this.#carrier?.close();
        this.#ports.decisions.flush();
        void Promise.resolve(this.#telemetry?.close()).finally(() => this.#end());
        return;
      default:
        this.#ports.take(message);
        if (message.kind !== "identity" || this.#opening !== undefined) return;
        this.#opening = this.#openAll();
        void this.#opening.catch((error) => {
          this.#log.error("a worker cannot listen", { problem: messageOf(error) });
          this.#end(); // another one is started
        });
    }
  }

  async #perform(task: number, what: WorkerTask): Promise<void> {
    try {
      const value = await this.#do(what);
      this.#line.send({ kind: "done", task, problem: undefined, value });
    } catch (error) {
      const problem = messageOf(error).slice(0, 1000);
      this.#log.error("a worker could not complete a task", { what: what.kind, problem });
      this.#line.send({ kind: "done", task, problem, value: undefined });
    }
  }

  async #do(what: WorkerTask): Promise<unknown> {
    switch (what.kind) {
      case "ping":
        return;
      case "idle":
        return this.#carrier?.whenIdle(noLimit);
      case "measure":
        return this.#measure();
      case "drain":
        return this.#carrier?.drain();
      default:
        // messages are applied in the order in which they came, and are done once calls can be carried by them
        await Promise.all([this.#ports.perform(what), this.#opening]);
        return;
    }
  }

  async #measure(): Promise<Measure> {
    const metrics = await this.#metrics.snapshot();
    const { current, shadow } = this.#ports.policy;
    return {
      metrics,
      table: tableCounts(this.#metrics.calls),
      epoch: current?.epoch ?? 0,
      calls: this.#window.calls,
      before: this.#window.before,
      shadow: shadow && this.#tally.read(shadow.policy),
      reach: this.#reaches.read(),
      ejected: this.#reaches.ejections(),
    };
  }

  /** Opens everything. Fails with `invalid_argument` if a file of a gateway cannot be used. */
  async #openAll(): Promise<void> {
    const { edge, options } = this.#setup;
    const { trust, decisions } = this.#ports;
    const deps = { clock: systemClock, log: this.#log, trust, decisions, isAdmitted: true };
    const listeners = edge && (await import("./edge/open-listeners.js"));
    const edges = edge && (await listeners?.openListeners(edge, options.service, deps, this.#life.signal));
    this.#carrier = this.#open(edges ?? []);
  }

  #open(edges: readonly MakeEdge[]): Carrier {
    const { identity, trust, policy, endpoints, app, limits, decisions } = this.#ports;
    const own = {
      metrics: countedTwice(this.#metrics.proxy, this.#window),
      tally: this.#tally,
      reaches: this.#reaches,
      engine: this.#engine,
      clock: systemClock,
      log: this.#log,
    };
    const shares = new ShareLoop(limits, systemClock);
    void shares.run(this.#life.signal);
    const { openBudgets } = shares;
    const random = { draw: Math.random, random: randomBytes };
    const { options } = this.#setup;
    if (options.telemetry !== undefined) {
      const deps = { policy, identity, clock: systemClock, log: this.#log, ...random, metrics: this.#metrics };
      this.#telemetry = openTelemetry(deps, options.telemetry);
      if (this.#tapped) this.#telemetry.show(this.#tap);
    }
    const watch = this.#telemetry?.watch;
    const { egress } = options;
    const following = { trust, policy, endpoints, clock: systemClock, log: this.#log };
    this.#outside = egress && new Egresses(following, { ...egress, own: this.#meshPorts });
    const outside = this.#outside === undefined ? {} : outsideOf(this.#outside);
    const known = { identity, trust, policy, endpoints, app, decisions, openBudgets, watch };
    const journal = this.#openJournal();
    const reads = new ReadWaits({ app: this.#ports.applied, store: journal.store, clock: systemClock });
    return new Carrier({ ...known, ...own, ...random, ...outside, journal, reads }, options, edges);
  }

  /** Opens the journal, which signs records in this process and has the first process append them. */
  #openJournal(): Journal {
    const { identity, policy, journalBus: bus } = this.#ports;
    const { options, journalLife, tookOver, workers } = this.#setup;
    const trusting = () => this.#ports.trusting;
    const clock = systemClock;
    const deps = {
      ...{
        bus,
        identity,
        policy,
        clock,
        random: pooledRandomBytes,
        log: this.#log,
        tookOver,
        signal: this.#life.signal,
      },
      statements: new StatementWriter({ identity, clock }),
      reader: new StatementReader({ mesh: options.mesh, trusting, clock }),
      keys: () => keysOf(trusting()),
      holder: () => trusting()?.body.journalHolder,
    };
    const journal = new Journal(deps, options.service, { processLife: journalLife, workers });
    this.#metrics.reportJournal(journal);
    return journal;
  }

  #taps(taps: readonly WantedTap[]): void {
    this.#tap.want(taps);
    this.#tapped = taps.length > 0;
    this.#telemetry?.show(this.#tapped ? this.#tap : null);
  }

  #connect({ listener, address }: ToWorker & { readonly kind: "connection" }, socket: Socket | undefined): void {
    const closed = { kind: "closed", listener, ...(address === undefined ? {} : { address }) } as const;
    if (socket === undefined || this.#carrier === undefined) {
      this.#line.send(closed); // the socket was closed on its way
      return;
    }
    socket.on("error", () => {}); // its end is reported
    socket.once("close", () => this.#line.send(closed));
    this.#carrier.take(listener, socket);
  }
}

/** Returns the egresses and the endpoints that include their addresses. */
function outsideOf(outside: Egresses): { readonly outside: Egresses; readonly endpoints: Egresses } {
  return { outside, endpoints: outside };
}
