/** Seats of workers in processes that a test holds in its hand: who hears what, and which process ends when. */
import { expect, test } from "@jest/globals";
import type { ToProcess } from "../../../data-plane/workers/process-messages.js";
import { shareProcesses } from "../../../data-plane/workers/shared-processes.js";
import type { ChildLine, WorkerProcess } from "../../../data-plane/workers/worker-process.js";

class HeldProcess implements ChildLine<ToProcess> {
  readonly pid = 1;
  readonly told: ToProcess[] = [];
  isKilled = false;
  say: (message: unknown) => void = () => {};
  end: (how: string) => void = () => {};

  send(message: ToProcess): void {
    this.told.push(message);
  }

  onMessage(listener: (message: unknown, socket: undefined) => void): void {
    this.say = (message) => listener(message, undefined);
  }

  onEnd(listener: (how: string) => void): void {
    this.end = listener;
  }

  kill(): void {
    this.isKilled = true;
  }
}

function share() {
  const forked: HeldProcess[] = [];
  const warmed: boolean[] = [];
  const heard: string[] = [];
  const spawn = shareProcesses((_title, isWarm) => {
    const held = new HeldProcess();
    forked.push(held);
    warmed.push(isWarm);
    return held;
  }, true);
  const start = (name: string, worker: number): WorkerProcess => {
    const started = spawn(worker);
    started.onMessage((message) => heard.push(`${name}: ${message}`));
    started.onEnd((how) => heard.push(`${name} ended: ${how}`));
    return started;
  };
  return { forked, warmed, heard, start };
}

test("workers of one number share a process, and each hears what was said to it", () => {
  const { forked, heard, start } = share();
  const [a] = [start("a0", 0), start("b0", 0), start("a1", 1)];
  expect(forked).toHaveLength(2);
  a?.send({ kind: "close" });
  expect(forked[0]?.told).toEqual([
    { kind: "open", seat: 1 },
    { kind: "open", seat: 2 },
    { kind: "tell", seat: 1, message: { kind: "close" } },
  ]);
  forked[0]?.say({ kind: "said", seat: 2, message: "hello" });
  forked[1]?.say({ kind: "said", seat: 1, message: "hello" });
  expect(heard).toEqual(["b0: hello", "a1: hello"]);
});

test("a process ends after its last worker, who hears of it when it has ended; the next worker gets a new one", () => {
  const { forked, heard, start } = share();
  start("a", 0);
  start("b", 0);
  forked[0]?.say({ kind: "closed", seat: 1 });
  expect(heard).toEqual(["a ended: exit code 0"]);
  forked[0]?.say({ kind: "said", seat: 1, message: "too late" });
  forked[0]?.say({ kind: "closed", seat: 2 });
  expect(forked[0]?.told.at(-1)).toEqual({ kind: "end" });
  start("c", 0);
  expect(forked).toHaveLength(2);
  forked[0]?.end("exit code 0");
  expect(heard.slice(1)).toEqual(["b ended: exit code 0"]);
});

test("a process that dies takes all of its workers along, and one that says what none says is killed", () => {
  const { forked, heard, start } = share();
  start("a", 0);
  start("b", 0);
  for (const rubbish of [undefined, 7, { kind: "said" }, { kind: "other", seat: 1 }, { kind: "closed", seat: -1 }]) {
    forked[0]?.say(rubbish);
    expect(forked[0]?.isKilled).toBe(true);
  }
  forked[0]?.end("SIGKILL");
  expect(heard).toEqual(["a ended: SIGKILL", "b ended: SIGKILL"]);
});

test("a worker that does not close in time is given up without the others; the last one is killed", () => {
  const { forked, heard, start } = share();
  const [a, b] = [start("a", 0), start("b", 0)];
  a?.leave();
  expect([heard, forked[0]?.isKilled]).toEqual([["a ended: given up"], false]);
  b?.leave();
  expect(forked[0]?.isKilled).toBe(true);
});

test("a process warms up, and not the one that follows one which ended before it said anything", () => {
  const { forked, warmed, start } = share();
  start("a", 0);
  forked[0]?.end("SIGKILL"); // while it warmed up
  start("a", 0);
  forked[1]?.say({ kind: "said", seat: 1, message: "hello" });
  forked[1]?.end("SIGKILL");
  start("a", 0);
  expect(warmed).toEqual([true, false, true]);
});
