/** When a proxy says its heartbeat. The endpoint and what a heartbeat holds: test/data-plane/registry. */
import { expect, test } from "@jest/globals";
import type { PolicyView } from "../../../data-plane/ports.js";
import { createFleetReporter, type FleetReporterDeps } from "../../../data-plane/status/fleet-reporter.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock, settle } from "../../support/manual-clock.js";
import { StatementPki, writerOf } from "../../support/statements.js";

const pki = new StatementPki();

/** A reporter whose draws are all 0.5: a heartbeat every 3 s, and one 15 ms after a poke at a lag of 20 ms. */
function createTest(lagMs = 20) {
  const clock = new ManualClock();
  const switched = new Set<() => void>();
  const saidMs: number[] = [];
  const identity = { current: pki.issue("payments", "p1"), onRotate: () => () => {} };
  const policy: PolicyView = {
    current: undefined,
    seenEpoch: 1,
    prepared: [],
    rejected: undefined,
    lagMs,
    freshnessAgeMs: 0,
    isStaged: false,
    trustSequence: 1,
    seenActivation: undefined,
    onSwitch: (listener) => {
      const tell = (): void => listener(undefined as never);
      switched.add(tell);
      return () => switched.delete(tell);
    },
    useService: async () => true,
    hearOfEpoch: async () => {},
  };
  const bus = { connected: true, onStatus: () => () => {}, publish: () => saidMs.push(clock.monotonicMs()) > 0 };
  const deps = {
    clock,
    identity,
    policy,
    bus,
    log: silentLogger,
    random: () => 0.5,
    statements: writerOf(identity.current),
    app: { current: undefined, onChange: () => () => {}, reportRefused: () => {} },
    window: { calls: undefined, before: undefined },
  } as unknown as FleetReporterDeps;
  const reporter = createFleetReporter(deps, { serves: false, labels: [], bypassable: [] });
  reporter.poke(); // before the start, as when a revision on disk is prepared: the first heartbeat says it
  reporter.start("127.0.0.1:1");
  const doSwitch = (): void => {
    for (const tell of switched) tell();
  };
  return { reporter, clock, saidMs, doSwitch };
}

test("a heartbeat comes every three seconds, and several changes share one soon after", async () => {
  const { reporter, clock, saidMs } = createTest();
  await clock.advance(1000);
  for (let change = 0; change < 3; change += 1) reporter.poke();
  await clock.advance(14);
  expect(saidMs).toEqual([0]);
  await clock.advance(1);
  reporter.poke(); // another change, which the last one did not say
  await clock.advance(15);
  expect(saidMs).toEqual([0, 1015, 1030]);
  await clock.advance(3000);
  expect(saidMs).toEqual([0, 1015, 1030, 4030]); // three seconds after the last one, whatever it was for
  reporter.stop();
});

test("after late news a switch is said later than anything else", async () => {
  const { reporter, clock, saidMs, doSwitch } = createTest(60);
  await clock.advance(100);
  doSwitch();
  await clock.advance(134);
  expect(saidMs).toEqual([0]);
  await clock.advance(1);
  expect(saidMs).toEqual([0, 235]);
  reporter.poke(); // the switch was said
  await clock.advance(34);
  expect(saidMs).toEqual([0, 235, 269]);
  reporter.stop();
});

test("nothing is said after the end, and nothing waits any more", async () => {
  const { reporter, clock, saidMs } = createTest();
  reporter.poke();
  reporter.stop();
  await clock.advance(10_000);
  await settle();
  expect(saidMs).toEqual([0]);
  expect(clock.sleeping).toBe(0);
});
