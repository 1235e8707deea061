/** The fleet view while clocks are wrong, here and at proxies. */
import { describe, expect, test } from "@jest/globals";
import { buildFleetStatus } from "../../../control-plane/fleet/fleet-status.js";
import { buildHeartbeat, FakeFleet } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";

const hourMs = 3_600_000;

function world() {
  const clock = new ManualClock();
  const fleet = new FakeFleet(clock);
  const beat = (id: string, aheadMs = 0) => fleet.say(id, { timeMs: clock.nowMs() - clock.offMs + aheadMs });
  const problems = () =>
    buildFleetStatus({ entries: fleet.loop.list(), missing: [] }, undefined, undefined, clock.nowMs()).problems.map(
      ({ message }) => message,
    );
  return { clock, fleet, beat, problems };
}

describe("this control plane's clock is set", () => {
  test("an hour forward, and nobody is silent for it", () => {
    const { clock, fleet, beat } = world();
    beat("a");
    clock.offMs = hourMs;
    expect(fleet.loop.live()).toHaveLength(1);
  });

  test("an hour back, and whoever dies is silent ten seconds later, and not an hour", async () => {
    const { clock, fleet, beat, problems } = world();
    beat("a");
    clock.offMs = -hourMs;
    await clock.advance(11_000);
    expect(fleet.loop.live()).toHaveLength(0);
    expect(problems()).toEqual(["proxy a (payments) went silent 11 s ago without leaving"]);
    fleet.loop.close();
  });
});

describe("how far clocks are apart", () => {
  for (const [what, aheadMs, controlPlaneOffMs, expected] of [
    ["three seconds are no problem", [3000, 0, 0], 0, []],
    [
      "one that is ahead is named",
      [20_000, 0, 0],
      0,
      ["the clock of proxy p0 (payments) is 20 s ahead of this control plane's: set it by NTP"],
    ],
    [
      "one that is behind is named",
      [0, -hourMs, 0],
      0,
      ["the clock of proxy p1 (payments) is 1 h behind this control plane's: set it by NTP"],
    ],
    [
      "the control plane is ahead",
      [0, 0, 0],
      hourMs,
      ["this control plane's clock is ahead of that of 3 of 3 live proxies by 1 h: set it by NTP"],
    ],
    [
      "the control plane is behind",
      [0, 0, 50_000],
      -50_000,
      ["this control plane's clock is behind that of 3 of 3 live proxies by 50 s: set it by NTP"],
    ],
  ] as const)
    test(what, () => {
      const { clock, beat, problems } = world();
      clock.offMs = controlPlaneOffMs;
      for (const [index, ms] of [...aheadMs.entries(), ...aheadMs.entries()]) beat(`p${index}`, ms);
      expect(problems()).toEqual(expected);
    });

  test("one heartbeat that was held up on its way is no clock that is behind", () => {
    const { beat, problems, fleet } = world();
    beat("a");
    beat("a", -40_000);
    expect(problems()).toEqual([]);
    beat("a", -40_000);
    expect(problems()).toHaveLength(1);
    expect(fleet.loop.list()[0]?.clockAheadMs).toBe(-40_000);
  });

  test("nothing is known of a proxy that was not heard since a restart", () => {
    const { fleet } = world();
    fleet.state.restore([{ heartbeat: buildHeartbeat("a"), lastSeenMs: 1, live: true }], 1_700_000_000_000);
    expect(fleet.loop.list()[0]?.clockAheadMs).toBeUndefined();
  });
});
