/** What the loop of a process that has no time says, by a clock that is told. */
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { EngineLoop } from "../../../data-plane/http2-sockets/engine-loop.js";

let nowMs: number;
let loop: EngineLoop;

beforeEach(() => {
  jest.useFakeTimers();
  nowMs = 0;
  loop = new EngineLoop(() => nowMs);
});
afterEach(() => {
  loop.stop();
  jest.useRealTimers();
});

function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 100) {
    nowMs += 100;
    jest.advanceTimersByTime(100);
  }
}

/** The process does not run: no timer comes, and its clock goes on. */
function stopFor(ms: number): void {
  nowMs += ms;
}

test("a time limit ends after its time, and not at all once it is taken back", () => {
  const ended: string[] = [];
  loop.after(5000, () => ended.push("first"));
  const takeBack = loop.after(5000, () => ended.push("second"));
  pass(4900);
  expect(ended).toEqual([]);
  takeBack();
  pass(200);
  expect(ended).toEqual(["first"]);
});

test("a time limit does not count what was lost while the process had no time", () => {
  let ended = 0;
  loop.after(5000, () => ended++);
  pass(2000);
  stopFor(60_000);
  pass(3000);
  expect(ended).toBe(0);
  pass(1000);
  expect(ended).toBe(1);
});

test.each([300, 3000, 20_000])("a time limit ends in a process that has no time for %d ms again and again", (ms) => {
  let ended = 0;
  loop.after(5000, () => ended++);
  const serve = (forMs: number): void => {
    for (let served = 0; served < forMs; served += 100) {
      stopFor(ms);
      pass(100);
    }
  };
  serve(5000);
  expect(ended).toBe(0);
  serve(1000);
  expect(ended).toBe(1);
});

test("a time limit ends after its time when the loop has stopped", () => {
  let ended = 0;
  loop.after(5000, () => ended++);
  loop.stop();
  pass(5000);
  expect(ended).toBe(1);
});

test("tells its members and whoever asks how much was lost, once", () => {
  const told: (readonly [number, number])[] = [];
  const stop = loop.onTick((now, lostMs) => told.push([now, lostMs]));
  pass(1000);
  stopFor(20_000);
  pass(2000);
  expect(told).toEqual([
    [1000, 0],
    [22_000, 20_000],
    [23_000, 0],
  ]);
  stop();
  pass(1000);
  expect(told).toHaveLength(3);
});
