/** Drives the workers' machine: starts, asks, replaces and stops the processes. What they are told comes from the feed. */
import type { Socket } from "node:net";
import type { Digest } from "../../core/digest.js";
import { AshlarError, messageOf, unreachable } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { LostTime } from "../../runtime/lost-time.js";
import { CrewClients } from "./crew-clients.js";
import { answerTo, type CrewVoice } from "./crew-voice.js";
import {
  type FromWorker,
  type ListenerName,
  type Question,
  questionsMax,
  readFromWorker,
  type ToWorker,
  type WorkerTask,
} from "./messages.js";
import type { SpawnWorker } from "./worker-process.js";
import { fewest, isPingDue, newSlot, renderEnd, type Slot, settle } from "./worker-slot.js";
import {
  type Duty,
  promptOf,
  startWorkers,
  step,
  type WorkersEffect,
  type WorkersEvent,
  type WorkersState,
} from "./workers-state.js";

export interface CrewDeps {
  readonly spawn: SpawnWorker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
}

const tickMs = 500;
/** A worker that ran at least this long is restarted without delay, in milliseconds. */
const steadyMs = 30_000;
/** The most messages that a worker may leave unread. */
const unreadMax = 100_000;
const stopMsMax = 2000;
/** The most attempts to start a worker while the proxy starts. Later there is no limit. */
const startsMax = 5;

export class Crew {
  readonly #deps: CrewDeps;
  readonly #slots: readonly Slot[];
  readonly #stop = new AbortController();
  #started: { readonly resolve: () => void; readonly reject: (error: AshlarError) => void } | undefined;
  #voice: CrewVoice | undefined;
  #state: WorkersState;
  #lastTask = 0;
  readonly clients = new CrewClients((worker, message) => this.say(worker, message));

  constructor(deps: CrewDeps, count: number) {
    this.#deps = deps;
    this.#state = startWorkers(count);
    this.#slots = Array.from({ length: count }, () => newSlot(deps.random));
  }

  get state(): WorkersState {
    return this.#state;
  }

  get workers(): readonly Pick<Slot, "restarts" | "lastEnd" | "connections">[] {
    return this.#slots;
  }

  /** Starts them all; resolves when every one carries calls, or when it is stopped. Fails with `unavailable` if they end instead. */
  start(voice: CrewVoice): Promise<void> {
    this.#voice = voice;
    const started = new Promise<void>((resolve, reject) => {
      this.#started = { resolve, reject };
    });
    for (const worker of this.#slots.keys()) this.#spawn(worker);
    void this.#tick();
    return started;
  }

  /** The workers that carry calls. */
  get serving(): readonly number[] {
    return [...this.#slots.keys()].filter((worker) => this.#state.workers[worker]?.phase === "serving");
  }

  /** The workers that have the present state and must be told every change. */
  get briefed(): readonly number[] {
    return [...this.#slots.keys()].filter((worker) => this.#state.workers[worker]?.briefed);
  }

  say(worker: number, message: ToWorker, socket?: Socket): void {
    const slot = this.#slots[worker];
    if (slot?.process === undefined) return void socket?.destroy();
    slot.unread += 1;
    slot.process.send(message, socket);
    if (slot.unread === unreadMax) this.#kill(worker, `it has not read ${unreadMax} messages`);
  }

  /** Gives a worker a task and replaces the worker if it does not complete the task in time. */
  tell(worker: number, what: WorkerTask, duty: Duty): void {
    this.#lastTask += 1;
    const task = this.#lastTask;
    this.say(worker, { kind: "task", task, what });
    this.#take({ kind: "told", worker, task, duty, nowMs: this.#deps.clock.monotonicMs() });
  }

  /** Notes that every worker that must compile the revision has been told. */
  expectPrepared(digest: Digest): void {
    this.#take({ kind: "prepare", digest });
  }

  /** Tells a worker something, without a time limit. Resolves with the result, or with undefined if the worker ended first. */
  request(worker: number, what: WorkerTask): Promise<unknown> {
    const slot = this.#slots[worker];
    if (slot?.process === undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#lastTask += 1;
      const task = this.#lastTask;
      slot.requests.set(task, resolve);
      this.say(worker, { kind: "task", task, what });
    });
  }

  /** Sends a request to all workers that carry calls. */
  requestAll(what: WorkerTask): Promise<readonly unknown[]> {
    return Promise.all(this.serving.map((worker) => this.request(worker, what)));
  }

  /** Hands a connection to the worker with the fewest from that listener; false: nobody carries calls. `address`: of a client that is counted. */
  hand(listener: ListenerName, socket: Socket, connectionsMax: number, address?: string): boolean {
    const prompt = promptOf(this.#state, this.serving, this.#deps.clock.monotonicMs());
    const worker = fewest(this.#slots, prompt, listener);
    const slot = worker === undefined ? undefined : this.#slots[worker];
    const open = slot?.connections.get(listener) ?? 0;
    if (worker === undefined || slot === undefined || open >= connectionsMax) return false;
    slot.connections.set(listener, open + 1);
    this.say(worker, { kind: "connection", listener, ...(address === undefined ? {} : { address }) }, socket);
    this.clients.handed(worker, listener, address);
    return true;
  }

  /** Ends all: those that carry calls are told, and given up if that takes long; others may hear nothing yet. Resolves then. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#started?.resolve();
    for (const [worker, { process }] of this.#slots.entries())
      if (this.#state.workers[worker]?.phase === "serving") this.say(worker, { kind: "close" });
      else process?.leave();
    const { clock } = this.#deps;
    const endMs = clock.monotonicMs() + stopMsMax;
    while (this.#slots.some(({ process }) => process !== undefined) && clock.monotonicMs() < endMs)
      await clock.sleep(10);
    for (const { process } of this.#slots) process?.leave();
  }

  // === Processes ===

  #spawn(worker: number): void {
    const slot = this.#slots[worker];
    if (slot === undefined || this.#stop.signal.aborted) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const child = this.#deps.spawn(worker);
    Object.assign(slot, { process: child, startedMs: nowMs, pingedMs: nowMs, unread: 0 });
    child.onMessage((message) => {
      if (slot.process === child) this.#hear(worker, slot, message);
    });
    child.onEnd((how) => {
      if (slot.process === child) this.#ended(worker, slot, how);
    });
    this.#take({ kind: "spawned", worker, nowMs });
  }

  #ended(worker: number, slot: Slot, how: string): void {
    const { clock, log } = this.#deps;
    slot.process = undefined;
    slot.lastEnd = how;
    slot.connections.clear();
    this.clients.gone(worker);
    for (const resolve of slot.requests.values()) resolve(undefined);
    slot.requests.clear();
    this.#voice?.gone(worker);
    const what = renderEnd(this.#state.workers[worker]);
    this.#take({ kind: "exited", worker });
    if (this.#stop.signal.aborted) return void log.info("a worker stopped", { worker, how });
    if (clock.monotonicMs() - slot.startedMs > steadyMs) slot.backoff.reset();
    const inMs = Math.round(slot.backoff.nextMs());
    if (++slot.restarts >= startsMax)
      this.#started?.reject(new AshlarError("unavailable", `worker ${worker} does not start: ${how}`));
    log.error(what, { worker, how, inMs });
    void clock.sleep(inMs, this.#stop.signal).then(() => this.#spawn(worker));
  }

  #kill(worker: number, why: string): void {
    this.#deps.log.error("a worker is killed", { worker, why });
    this.#slots[worker]?.process?.kill();
  }

  async #tick(): Promise<void> {
    const { clock } = this.#deps;
    const lost = new LostTime(tickMs, clock.monotonicMs());
    while (!this.#stop.signal.aborted) {
      await clock.sleep(tickMs, this.#stop.signal);
      const nowMs = clock.monotonicMs();
      this.#voice?.tick();
      for (const [worker, slot] of this.#slots.entries()) {
        if (!isPingDue(slot, this.#state.workers[worker], nowMs)) continue;
        slot.pingedMs = nowMs;
        this.tell(worker, { kind: "ping" }, { kind: "ping" });
      }
      this.#take({ kind: "tick", nowMs, lostMs: lost.turn(nowMs) });
    }
  }

  // === What they say ===

  #hear(worker: number, slot: Slot, value: unknown): void {
    try {
      this.#act(worker, slot, readFromWorker(value));
    } catch (error) {
      this.#kill(worker, messageOf(error));
    }
  }

  #act(worker: number, slot: Slot, message: FromWorker): void {
    switch (message.kind) {
      case "hello":
        if (this.#state.workers[worker]?.briefed === true) return;
        this.#voice?.brief(worker);
        this.#take({ kind: "briefed", worker });
        return;
      case "done":
        settle(slot, message);
        this.#take({ kind: "done", worker, task: message.task, problem: message.problem });
        return;
      case "question":
        void this.#answer(worker, slot, message.question, message.what);
        return;
      case "closed": {
        const open = slot.connections.get(message.listener) ?? 0;
        slot.connections.set(message.listener, Math.max(0, open - 1));
        this.clients.left(worker, message);
        return;
      }
      case "refused":
        this.#voice?.refused(worker, message.instance);
        return;
      case "tapped":
        this.#voice?.tapped(message.report);
        return;
      case "limits":
        this.#voice?.limits(worker, message.report, message.scope);
        return;
      default:
        unreachable(message);
    }
  }

  async #answer(worker: number, slot: Slot, question: number, what: Question): Promise<void> {
    const child = slot.process;
    if (slot.questions >= questionsMax)
      return this.#kill(worker, `it asks more than ${questionsMax} questions at once`);
    slot.questions += 1;
    const answer = await answerTo(this.#voice, worker, what);
    slot.questions -= 1;
    if (slot.process === child) this.say(worker, { kind: "answer", question, answer });
  }

  // === The machine ===

  #take(event: WorkersEvent): void {
    const { state, effects } = step(this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: WorkersEffect): void {
    switch (effect.kind) {
      case "serving":
        this.#deps.log.info("a worker carries calls", {
          worker: effect.worker,
          pid: this.#slots[effect.worker]?.process?.pid,
        });
        if (this.serving.length === this.#slots.length) this.#started?.resolve();
        return;
      case "kill":
        this.#kill(effect.worker, effect.why);
        return;
      case "prepared":
        this.#voice?.prepared(effect.digest, effect.problem);
        return;
      case "evaluating":
        this.#voice?.evaluating(effect.epoch);
        return;
      default:
        unreachable(effect);
    }
  }
}
