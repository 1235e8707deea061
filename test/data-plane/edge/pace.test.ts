import { expect, test } from "@jest/globals";
import { type Doing, Pace } from "../../../data-plane/edge/http1/pace.js";

const idle: Doing = { isWithinHead: false, isInBody: false, isWriting: false, isIdle: true, isTight: false };
const within = (what: Partial<Doing>): Doing => ({ ...idle, isIdle: false, ...what });

test("a connection without a request is closed after a minute, counted anew after each", () => {
  const pace = new Pace(0);
  expect([pace.lateFor(60_000, idle), pace.lateFor(60_001, idle)]).toEqual([undefined, "idle"]);
  pace.idles(70_000);
  expect([pace.lateFor(130_000, idle), pace.lateFor(130_001, idle)]).toEqual([undefined, "idle"]);
});

test("a head must be whole after 10 s, however its bytes drip", () => {
  const pace = new Pace(0);
  for (let nowMs = 50_000; nowMs <= 60_000; nowMs += 1000) {
    pace.came(1, nowMs);
    expect(pace.lateFor(nowMs, within({ isWithinHead: true }))).toBeUndefined();
  }
  pace.came(1, 60_001);
  expect(pace.lateFor(60_001, within({ isWithinHead: true }))).toBe("request");
});

test("a body of known length must bring a byte a millisecond after 20 s; what we did not read is not counted", () => {
  const pace = new Pace(0);
  pace.bodyBegins(1_000_000, 0);
  for (let nowMs = 1000; nowMs <= 60_000; nowMs += 1000) pace.came(700, nowMs);
  expect(pace.lateFor(62_000, within({ isInBody: true }))).toBeUndefined();
  expect(pace.lateFor(62_001, within({ isInBody: true }))).toBe("request");
  pace.resumes(90_000);
  expect(pace.lateFor(92_000, within({ isInBody: true }))).toBeUndefined();
});

test("a body in chunks may rest for five minutes, and a call that is waited for has no limit here", () => {
  const pace = new Pace(0);
  pace.bodyBegins("chunked", 0);
  pace.came(1, 1000);
  expect(pace.lateFor(301_000, within({ isInBody: true }))).toBeUndefined();
  expect(pace.lateFor(301_001, within({ isInBody: true }))).toBe("request");
  expect(pace.lateFor(9_000_000, within({}))).toBeUndefined();
});

test("a client that reads nothing is given up after five minutes, after 5 s where room is short", () => {
  const pace = new Pace(0);
  pace.writes(1000);
  const isTight = true;
  expect(pace.lateFor(301_000, within({ isWriting: true }))).toBeUndefined();
  expect(pace.lateFor(301_001, within({ isWriting: true }))).toBe("stalled");
  expect(pace.lateFor(6000, within({ isWriting: true, isTight }))).toBeUndefined();
  expect(pace.lateFor(6001, within({ isWriting: true, isTight }))).toBe("stalled");
});
