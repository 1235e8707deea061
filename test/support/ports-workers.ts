/**
 * Workers in this process that implement the ports but carry no calls. Messages are copied and arrive later, as over a
 * line.
 */

import type { PolicyView } from "../../data-plane/ports.js";
import { Crew } from "../../data-plane/workers/crew.js";
import { CrewApp } from "../../data-plane/workers/crew-app.js";
import { CrewLimits } from "../../data-plane/workers/crew-limits.js";
import type { FromWorker, ToWorker, WorkerSetup, WorkerTask } from "../../data-plane/workers/messages.js";
import { WorkerFeed } from "../../data-plane/workers/worker-feed.js";
import { type StateMessage, WorkerPorts } from "../../data-plane/workers/worker-ports.js";
import type { WorkerProcess } from "../../data-plane/workers/worker-process.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { MemoryBroker } from "../../runtime/memory-bus.js";
import { LocalExchangeHub } from "./local-exchange.js";
import { PortsWorld } from "./ports-world.js";
import { testMesh } from "./records.js";

/** The messages about calls, which these workers do not carry. */
const callsOnly = new Set<ToWorker["kind"]>(["connection", "taps", "spread", "mesh-ports"]);

export class PortsWorker implements WorkerProcess {
  readonly pid = 1;
  readonly told: ToWorker[] = [];
  ports: WorkerPorts | undefined;
  /** While true, the worker's messages are held back, as if it were slow. */
  isHeld = false;
  readonly #waiting: unknown[] = [];
  #listener: (message: unknown) => void = () => {};
  #end: ((how: string) => void) | undefined;

  send(message: ToWorker): void {
    const copy = structuredClone(message);
    setImmediate(() => this.#take(copy));
  }

  onMessage(listener: (message: unknown, socket: undefined) => void): void {
    this.#listener = (message) => listener(message, undefined);
    this.say({ kind: "hello" });
  }

  onEnd(listener: (how: string) => void): void {
    this.#end = listener;
  }

  kill(): void {
    const end = this.#end;
    this.#end = undefined;
    setImmediate(() => end?.("SIGKILL"));
  }

  leave(): void {
    this.kill();
  }

  say(message: FromWorker | unknown): void {
    if (this.isHeld) this.#waiting.push(message);
    else setImmediate(() => this.#listener(structuredClone(message)));
  }

  /** Sends the held messages now, the last one first if `reversed`. */
  release(reversed = false): void {
    this.isHeld = false;
    const all = this.#waiting.splice(0);
    for (const message of reversed ? all.reverse() : all) this.say(message);
  }

  #take(message: ToWorker): void {
    if (this.#end === undefined) return; // it is dead
    this.told.push(message);
    if (message.kind === "setup") this.ports = open(message.setup, (answer) => this.say(answer));
    else if (message.kind === "task") void this.#perform(message.task, message.what);
    else if (message.kind === "close") this.kill();
    else if (!callsOnly.has(message.kind)) this.ports?.take(message as StateMessage);
  }

  async #perform(task: number, what: WorkerTask): Promise<void> {
    try {
      if (what.kind === "trust" || what.kind === "prepare" || what.kind === "switch") await this.ports?.perform(what);
      this.say({ kind: "done", task, problem: undefined, value: undefined });
    } catch (error) {
      this.say({ kind: "done", task, problem: String(error), value: undefined });
    }
  }
}

function open({ options, rootPublicKey, workers }: WorkerSetup, send: (message: FromWorker) => void): WorkerPorts {
  return new WorkerPorts(
    { clock: systemClock, log: silentLogger, send },
    { mesh: options.mesh, rootPublicKey, workers },
  );
}

/** A proxy with workers. */
export class WorkersWorld {
  readonly crew: Crew;
  readonly feed: WorkerFeed;
  readonly world: PortsWorld;
  /** All workers that were ever started, in order. */
  readonly spawned: PortsWorker[];
  /** The policy that every worker judges by. */
  readonly evaluated: PolicyView;

  private constructor(crew: Crew, feed: WorkerFeed, world: PortsWorld, spawned: PortsWorker[], evaluated: PolicyView) {
    this.crew = crew;
    this.feed = feed;
    this.world = world;
    this.spawned = spawned;
    this.evaluated = evaluated;
  }

  static async open(count: number): Promise<WorkersWorld> {
    const spawned: PortsWorker[] = [];
    const spawn = (): WorkerProcess => {
      const worker = new PortsWorker();
      spawned.push(worker);
      return worker;
    };
    const crew = new Crew({ spawn, clock: systemClock, log: silentLogger, random: () => 0 }, count);
    const feed = new WorkerFeed(crew, systemClock);
    const world = await PortsWorld.open(feed);
    const { identity, registry, endpoints, sync } = world;
    const evaluated = feed.evaluatedByAll(sync.policy, systemClock);
    const exchange = new LocalExchangeHub().join("proxy", new AbortController().signal);
    const limits = new CrewLimits(crew, exchange, systemClock);
    const decisions = { offer: () => true, offerCounts: () => {}, noteDropped: () => {} };
    const bus = new MemoryBroker().connect();
    const known = {
      identity,
      policy: sync.policy,
      endpoints,
      app: new CrewApp(crew, registry),
      decisions,
      limits,
      sync,
      bus,
    };
    await feed.start(known, setupOf(world, count), () => {});
    return new WorkersWorld(crew, feed, world, spawned, evaluated);
  }

  async close(): Promise<void> {
    this.feed.stop();
    await this.crew.stop();
    await this.world.close();
  }
}

function setupOf(world: PortsWorld, workers: number): WorkerSetup {
  const options = { mesh: testMesh, service: "payments", labels: [], inbound: true, outbounds: [], recordShare: 0 };
  return {
    ...{
      options,
      workers,
      rootPublicKey: world.mesh.root.publicKey,
      engine: { bufferBytesMax: 1 << 20, messageBytesMax: 1 << 20, headerBytesMax: 65_536 },
    },
    log: { level: "error", format: "json", name: "test" },
    journalLife: "ab".repeat(8),
    tookOver: false,
  };
}
