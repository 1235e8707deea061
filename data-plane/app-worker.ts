/** Puts a worker together: it carries calls and knows what the first process tells it. Nothing else constructs its parts. */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { AshlarError, messageOf, unreachable } from "../core/errors.js";
import type { Signed, Trust } from "../core/model.js";
import { rootKeySet, verifyTrust } from "../core/wire/records.js";
import { systemClock } from "../runtime/clock.js";
import { createLogger, type Logger } from "../runtime/log.js";
import { ShareLoop } from "./limits/share-loop.js";
import { Carrier } from "./proxy/carrier.js";
import { createProxyEngine, logFault, type ProxyEngine } from "./proxy/forward/proxy-engine.js";
import { CallWindow, countedTwice } from "./status/call-window.js";
import { createMetrics, type Metrics } from "./status/metrics.js";
import { listen } from "./sync/policy-view.js";
import { createTrustView } from "./sync/trust-view.js";
import type { Measure } from "./workers/crew-metrics.js";
import type { FromWorker, Line, ListenerName, ToWorker, WorkerSetup, WorkerTask } from "./workers/messages.js";
import { WorkerDecisions } from "./workers/worker-decisions.js";
import { WorkerLimits } from "./workers/worker-limits.js";
import { WorkerPolicy } from "./workers/worker-policy.js";
import { WorkerQuestions } from "./workers/worker-questions.js";
import { WorkerApp, WorkerEndpoints, WorkerIdentity } from "./workers/worker-views.js";

const noLimit = new AbortController().signal;

/** What a worker is told before it carries calls, and by whom it is told. */
export type WorkerLine = Line<FromWorker, ToWorker>;

/** Greets the first process and does what it says, until `end` is called: told to close, or unable to go on. */
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
  readonly #identity = new WorkerIdentity();
  readonly #questions: WorkerQuestions;
  readonly #policy: WorkerPolicy;
  readonly #endpoints: WorkerEndpoints;
  readonly #app: WorkerApp;
  readonly #limits: WorkerLimits;
  readonly #trustListeners = new Set<() => void>();
  readonly #engine: ProxyEngine;
  readonly #decisions: WorkerDecisions;
  readonly #metrics: Metrics;
  readonly #window = new CallWindow(undefined);
  #trusting: Signed<Trust> | undefined;
  /** Made when the identity is known. */
  #carrier: Carrier | undefined;

  constructor(line: WorkerLine, setup: WorkerSetup, end: () => void) {
    this.#line = line;
    this.#setup = setup;
    this.#end = end;
    this.#log = createLogger(setup.log);
    const nowMs = (): number => systemClock.monotonicMs();
    this.#engine = createProxyEngine(nowMs, (error) => logFault(this.#log, error), setup.engine);
    this.#metrics = createMetrics(this.#engine.counters, this.#engine);
    this.#questions = new WorkerQuestions((question, what) => line.send({ kind: "question", question, what }));
    const ask = this.#questions.ask.bind(this.#questions);
    this.#decisions = new WorkerDecisions(ask, systemClock);
    this.#policy = new WorkerPolicy({ mesh: setup.options.mesh, ask, clock: systemClock });
    this.#policy.onSwitch(({ revisionDigest }) => this.#window.switched(revisionDigest)); // first: calls that a switch ends are its own
    this.#endpoints = new WorkerEndpoints(ask);
    this.#limits = new WorkerLimits((message) => line.send(message), setup.workers);
    this.#app = new WorkerApp(({ instance }) => line.send({ kind: "refused", instance }));
  }

  take(message: Exclude<ToWorker, { kind: "setup" }>, socket: Socket | undefined): void {
    switch (message.kind) {
      case "task":
        void this.#perform(message.task, message.what);
        return;
      case "identity":
        this.#identity.set(message.identity);
        this.#carrier ??= this.#open();
        return;
      case "seen":
        this.#policy.seenEpoch = message.epoch;
        return;
      case "fresh":
        this.#policy.heardFresh(message.ageMs);
        return;
      case "unit":
        this.#addUnit(message);
        return;
      case "drop":
        this.#policy.drop(message.revision);
        return;
      case "app":
        this.#app.set(message.app);
        return;
      case "endpoints":
        this.#endpoints.set(message.service, message.endpoints);
        return;
      case "sharing":
      case "limits":
        this.#limits.take(message);
        return;
      case "connection":
        this.#connect(message.listener, socket);
        return;
      case "answer":
        this.#questions.answer(message.question, message.answer);
        return;
      case "close":
        this.#carrier?.close();
        this.#decisions.flush();
        this.#end();
        return;
      default:
        unreachable(message);
    }
  }

  async #perform(task: number, what: WorkerTask): Promise<void> {
    try {
      const value = await this.#do(what);
      this.#line.send({ kind: "done", task, problem: undefined, value });
    } catch (error) {
      const problem = messageOf(error).slice(0, 1000);
      this.#log.error("a worker cannot do what it must", { what: what.kind, problem });
      this.#line.send({ kind: "done", task, problem, value: undefined });
    }
  }

  async #do(what: WorkerTask): Promise<unknown> {
    switch (what.kind) {
      case "trust":
        this.#trusting = verifyTrust(what.record, this.#setup.options.mesh, rootKeySet(this.#setup.rootPublicKey));
        for (const listener of this.#trustListeners) listener();
        return;
      case "prepare":
        return this.#policy.prepare(what);
      case "switch":
        return this.#policy.switchTo(what.epoch, what.revision);
      case "ping":
        return;
      case "idle":
        return this.#carrier?.whenIdle(noLimit);
      case "measure":
        return this.#measure();
      case "drain":
        return this.#carrier?.drain();
      default:
        return unreachable(what);
    }
  }

  async #measure(): Promise<Measure> {
    const metrics = await this.#metrics.snapshot();
    return { metrics, epoch: this.#policy.current?.epoch ?? 0, calls: this.#window.calls, before: this.#window.before };
  }

  #open(): Carrier {
    const onChange = (listener: () => void) => listen(this.#trustListeners, listener);
    const trust = createTrustView({ trusting: () => this.#trusting, onChange }, this.#setup.options.mesh);
    const known = { identity: this.#identity, trust, policy: this.#policy, endpoints: this.#endpoints, app: this.#app };
    const own = {
      metrics: countedTwice(this.#metrics.proxy, this.#window),
      engine: this.#engine,
      clock: systemClock,
      log: this.#log,
      decisions: this.#decisions,
    };
    const shares = new ShareLoop(this.#limits, systemClock);
    void shares.run(noLimit); // as long as the process
    const { openBudgets } = shares;
    return new Carrier({ ...known, ...own, openBudgets, draw: Math.random, random: randomBytes }, this.#setup.options);
  }

  #connect(listener: ListenerName, socket: Socket | undefined): void {
    if (socket === undefined || this.#carrier === undefined) {
      this.#line.send({ kind: "closed", listener }); // it was closed on its way
      return;
    }
    socket.on("error", () => {}); // told by its end
    socket.once("close", () => this.#line.send({ kind: "closed", listener }));
    this.#carrier.take(listener, socket);
  }

  /** A unit that is not acceptable was refused by the first process already: whoever uses the service is told. */
  #addUnit({ revision, unit }: ToWorker & { readonly kind: "unit" }): void {
    try {
      this.#policy.addUnit(revision, unit);
    } catch (error) {
      if (!(error instanceof AshlarError)) throw error;
      this.#log.error(`unit ${unit.name} is not acceptable: ${messageOf(error)}`);
    }
  }
}
