/** A proxy whose clock and whose control plane's disagree asks, and not in one moment with the fleet. */
import { expect, test } from "@jest/globals";
import { askForTime } from "../../../data-plane/identity/ask-for-time.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock, settle } from "../../support/manual-clock.js";

test("it asks while statements do not count, at most twice a minute, and no more once they do", async () => {
  const clock = new ManualClock();
  const sync = { clocksDisagree: false };
  let asked = 0;
  const renew = async () => {
    asked += 1;
    if (asked === 1) throw new Error("away");
  };
  const stop = new AbortController();
  const asking = askForTime({ sync, identity: { renew }, clock, log: silentLogger, random: () => 0.5 }, stop.signal);
  await clock.advance(60_000);
  expect(asked).toBe(0);
  sync.clocksDisagree = true;
  await clock.advance(4000);
  expect(asked).toBe(0); // spread over ten seconds
  await clock.advance(60_000);
  expect(asked).toBe(2);
  sync.clocksDisagree = false;
  await clock.advance(120_000);
  expect(asked).toBe(2);
  stop.abort();
  await settle();
  await asking;
});
