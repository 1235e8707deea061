/** Makes load above a limit, and measures only while the machine manages to make that load. */
import { status } from "@grpc/grpc-js";
import { expect } from "@jest/globals";
import { type EchoClient, isOverloaded } from "./echo-client.js";

export interface LimitLoad {
  /** The calls per second that must be made for a stretch to count. It is several times the limit. */
  readonly perSecond: number;
  /** How long the load lasts before a stretch counts, in milliseconds. */
  readonly settleMs: number;
  /** How long is measured, in milliseconds. */
  readonly forMs: number;
}

type Answer = Awaited<ReturnType<EchoClient["unary"]>> | undefined;

export interface Measured {
  readonly admitted: number;
  readonly seconds: number;
  readonly pushbacks: readonly number[];
}

const slotMs = 500;
const atMostMs = 90_000;
const callersCount = 32;
/** How many times the necessary load is made at most. More would only keep the machine busy. */
const mostTimes = 4;

/**
 * Makes calls with all clients, at most `mostTimes` the necessary load, until the load was sufficient for `settleMs +
 * forMs` without a gap. Returns what was admitted in the last `forMs`. Fails if the machine never manages that.
 */
export async function loadAbove(clients: readonly EchoClient[], load: LimitLoad): Promise<Measured> {
  const { perSecond, settleMs, forMs } = load;
  const stop = new AbortController();
  const pushbacks: number[] = [];
  const counted = { made: 0, admitted: 0, overloaded: 0 };
  const pauseMs = (callersCount * 1000) / (mostTimes * perSecond);
  const callers = Array.from({ length: callersCount }, async (_none, index) => {
    while (!stop.signal.aborted) {
      const answer = await clients[index % clients.length]?.unary({ text: "x" }, { isPatient: false });
      counted.made += 1;
      if (answer?.code === status.OK) counted.admitted += 1;
      else if (answer !== undefined && isOverloaded(answer)) counted.overloaded += 1;
      else pushbacks.push(pushbackOf(answer));
      await new Promise((done) => setTimeout(done, pauseMs));
    }
  });
  try {
    return await measure();
  } finally {
    stop.abort();
    await Promise.allSettled(callers);
  }

  async function measure(): Promise<Measured> {
    const startMs = performance.now();
    let [settledMs, measuredMs, admittedBefore, made, overloaded] = [startMs, 0, 0, 0, 0];
    while (performance.now() - startMs < atMostMs) {
      const beforeMs = performance.now();
      await Promise.race([new Promise((done) => setTimeout(done, slotMs)), ...callers]);
      const nowMs = performance.now();
      if (counted.made - made < (perSecond * (nowMs - beforeMs)) / 1000 || counted.overloaded > overloaded) {
        settledMs = nowMs; // the load was too small in this slot, or too large for a process: the stretch begins again
        measuredMs = 0;
      } else if (measuredMs === 0 && nowMs - settledMs >= settleMs) {
        measuredMs = nowMs;
        admittedBefore = counted.admitted;
      } else if (measuredMs > 0 && nowMs - measuredMs >= forMs) {
        return { admitted: counted.admitted - admittedBefore, seconds: (nowMs - measuredMs) / 1000, pushbacks };
      }
      [made, overloaded] = [counted.made, counted.overloaded];
    }
    throw new Error(`the machine did not make ${perSecond} calls a second for ${settleMs + forMs} ms`);
  }
}

/** Expects a value within ±5 %. */
export function expectAbout(admitted: number, ideal: number): void {
  expect(admitted / ideal).toBeGreaterThan(0.95);
  expect(admitted / ideal).toBeLessThan(1.05);
}

function pushbackOf(answer: Answer): number {
  expect({ code: answer?.code, details: answer?.details }).toEqual({
    code: status.RESOURCE_EXHAUSTED,
    details: expect.stringMatching(/^over a rate limit \(decision [0-9a-f]{24}, revision \d+\)$/),
  });
  expect(answer?.trailers.get("ashlar-decision")).toHaveLength(1);
  return Number(answer?.trailers.get("grpc-retry-pushback-ms")[0]);
}
