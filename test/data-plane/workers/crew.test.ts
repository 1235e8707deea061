/** The crew over workers that a test holds in its hand: what hangs or dies is replaced, and counts for nothing. */
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Crew } from "../../../data-plane/workers/crew.js";
import type { CrewVoice } from "../../../data-plane/workers/crew-voice.js";
import type { ToWorker } from "../../../data-plane/workers/messages.js";
import type { WorkerProcess } from "../../../data-plane/workers/worker-process.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock, settle } from "../../support/manual-clock.js";

/** A worker that does what it is told at once, until it hangs or is killed. */
class HeldWorker implements WorkerProcess {
  readonly pid = 1;
  readonly told: ToWorker[] = [];
  isHung = false;
  #say: (message: unknown) => void = () => {};
  #end: (how: string) => void = () => {};

  send(message: ToWorker): void {
    this.told.push(message);
    if (message.kind === "close") setImmediate(() => this.end("exit code 0"));
    if (message.kind === "task" && !this.isHung)
      setImmediate(() => this.say({ kind: "done", task: message.task, problem: undefined, value: undefined }));
  }

  onMessage(listener: (message: never, socket: undefined) => void): void {
    this.#say = (message) => listener(message as never, undefined);
    setImmediate(() => this.say({ kind: "hello" }));
  }

  onEnd(listener: (how: string) => void): void {
    this.#end = listener;
  }

  kill(): void {
    this.end("SIGKILL");
  }

  leave(): void {
    this.kill();
  }

  say(message: unknown): void {
    this.#say(message);
  }

  end(how: string): void {
    this.#end(how);
    this.#end = () => {};
  }
}

let clock: ManualClock;
let crew: Crew;
let spawned: HeldWorker[];
let epochs: number[];
let started: Promise<void>;
let voice: CrewVoice;

beforeEach(async () => {
  clock = new ManualClock();
  spawned = [];
  epochs = [];
  const spawn = (): WorkerProcess => {
    const worker = new HeldWorker();
    spawned.push(worker);
    return worker;
  };
  crew = new Crew({ spawn, clock, log: silentLogger, random: () => 0.5 }, 2);
  voice = {
    brief: (worker) => tellSwitch(worker, 1),
    asked: async () => true,
    evaluating: (epoch) => void epochs.push(epoch),
    refused: () => {},
    tapped: () => {},
    limits: () => {},
    prepared: () => {},
    gone: () => {},
    tick: () => {},
  };
  started = crew.start(voice);
  await settle();
  await started;
});

afterEach(async () => {
  const stopped = crew.stop();
  await clock.advance(3000);
  await stopped;
});

function tellSwitch(worker: number, epoch: number): void {
  const revision = "sha256:0" as Extract<ToWorker, { kind: "drop" }>["revision"];
  crew.tell(worker, { kind: "switch", epoch, revision }, { kind: "switch", epoch });
}

test("all carry calls when each has done what it had to first", () => {
  expect(crew.serving).toEqual([0, 1]);
  expect(epochs).toEqual([1]);
});

test("a worker that gives no sign of life is killed and replaced, and the others go on", async () => {
  const [, hung] = spawned;
  if (hung !== undefined) hung.isHung = true;
  await clock.advance(9000);
  expect(crew.serving).toEqual([0, 1]);
  await clock.advance(3000);
  expect(crew.workers[1]).toMatchObject({ restarts: 1, lastEnd: "SIGKILL" });
  await clock.advance(1000);
  expect(spawned).toHaveLength(3);
  expect(crew.serving).toEqual([0, 1]);
  expect(crew.workers[0]).toMatchObject({ restarts: 0 });
});

test("a switch that a worker does not make holds back what is evaluated until it is killed: 5 s (I7)", async () => {
  const [, hung] = spawned;
  if (hung !== undefined) hung.isHung = true;
  for (const worker of crew.briefed) tellSwitch(worker, 2);
  await clock.advance(4000);
  expect(epochs).toEqual([1]);
  await clock.advance(2000);
  expect(epochs.slice(0, 2)).toEqual([1, 2]); // of the one that is left
});

test("a worker that dies during a switch counts for nothing, and its successor begins anew", async () => {
  const [, dying] = spawned;
  if (dying !== undefined) dying.isHung = true;
  for (const worker of crew.briefed) tellSwitch(worker, 2);
  await settle();
  expect(epochs).toEqual([1]);
  const request = crew.request(1, { kind: "measure" });
  dying?.end("SIGSEGV");
  expect(await request).toBeUndefined();
  await settle();
  expect(epochs).toEqual([1, 2]);
  expect(crew.serving).toEqual([0]);
  await clock.advance(1000);
  expect(crew.serving).toEqual([0, 1]);
  expect(spawned[2]?.told.map(({ kind }) => kind)[0]).toBe("task"); // its first state
});

test("a worker that says what no worker says is killed, and what a dead one says is not heard", async () => {
  const [first] = spawned;
  first?.say({ kind: "limits", scope: "all", report: { limits: [] } });
  expect(crew.serving).toEqual([1]);
  expect(() => first?.say({ kind: "rubbish" })).not.toThrow();
  await clock.advance(1000);
  expect(crew.serving).toEqual([0, 1]);
});

test("a start is stopped at any moment: who carries no calls yet is not waited for, who does is told to close", async () => {
  const starting = new HeldWorker();
  starting.onMessage = () => {}; // it loads, and neither says nor hears anything
  const serving = new HeldWorker();
  const workers = [serving, starting];
  const stopping = new Crew(
    { spawn: (worker) => workers[worker] ?? serving, clock, log: silentLogger, random: () => 0.5 },
    2,
  );
  const begun = stopping.start(voice);
  await settle();
  expect(stopping.serving).toEqual([0]);
  const stopped = stopping.stop();
  expect(stopping.workers[1]?.lastEnd).toBe("SIGKILL"); // at once
  await settle();
  await clock.advance(10);
  await stopped;
  await begun;
  expect(serving.told.at(-1)).toEqual({ kind: "close" });
  expect(stopping.workers[0]?.lastEnd).toBe("exit code 0");
});

test("one that does not start in time is started again; at the start of a proxy five times at most", async () => {
  const failing = new Crew(
    {
      spawn: () => {
        const worker = new HeldWorker();
        setImmediate(() => worker.end("exit code 1"));
        return worker;
      },
      clock,
      log: silentLogger,
      random: () => 0.5,
    },
    1,
  );
  const ended = failing.start({
    brief: () => {},
    asked: async () => true,
    refused: () => {},
    tapped: () => {},
    limits: () => {},
    evaluating: () => {},
    prepared: () => {},
    gone: () => {},
    tick: () => {},
  });
  const outcome = expect(ended).rejects.toThrow("worker 0 does not start: exit code 1");
  await clock.advance(60_000);
  await outcome;
  await failing.stop();
});
