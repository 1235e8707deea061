import { afterEach, expect, test } from "@jest/globals";
import { createLoggerTo } from "../../../runtime/log.js";
import { FakeFleet } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";

const fleets: FakeFleet[] = [];
afterEach(() => {
  for (const { loop } of fleets.splice(0)) loop.close();
});

function world() {
  const clock = new ManualClock();
  const lines: { msg: string; proxy: string; unsaidBefore?: number }[] = [];
  const log = createLoggerTo({ write: (line) => void lines.push(JSON.parse(line)) }, { level: "info", name: "t" });
  const fleet = new FakeFleet(clock, log);
  fleets.push(fleet);
  const said = () => lines.splice(0).map(({ msg, proxy }) => `${msg}: ${proxy}`);
  return { clock, fleet, lines, said };
}

test("each proxy that comes, leaves, falls silent or is back is one line, with its names", async () => {
  const { clock, fleet, lines, said } = world();
  fleet.say("a");
  expect(lines[0]).toMatchObject({ level: 30, proxy: "a", service: "payments", version: expect.any(String) });
  fleet.say("a");
  fleet.say("b");
  expect(said()).toEqual(["a proxy is there: a", "a proxy is there: b"]);
  fleet.say("a", { leaving: true });
  fleet.say("a", { leaving: true });
  expect(said()).toEqual(["a proxy left: a"]);
  await clock.advance(11_000);
  expect(said()).toEqual(["a proxy fell silent without leaving: b"]);
  await clock.advance(11_000);
  expect(said()).toEqual([]);
  fleet.say("b");
  expect(said()).toEqual(["a proxy is there: b"]);
});

test("I8: a proxy that comes and goes without end fills no log; what was not said is counted", async () => {
  const { clock, fleet, lines } = world();
  for (let at = 0; at < 2000; at++) fleet.say("a", { leaving: at % 2 === 1 });
  expect(lines).toHaveLength(1000);
  await clock.advance(60_000);
  fleet.say("a");
  expect(lines.at(-1)).toMatchObject({ msg: "a proxy is there", unsaidBefore: 1000 });
});
