import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { FleetState } from "../../../control-plane/fleet/fleet-state.js";
import { openUnsignedWindow } from "../../../control-plane/identity/unsigned-window.js";
import { silentLogger } from "../../../runtime/log.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";

const weekMs = 7 * 86_400_000;
const startMs = 1_800_000_000_000;
let path: string;

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "ashlar-unsigned-"));
  mkdirSync(join(path, "identity"));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

function open(isNew: boolean, clock: ManualClock, unsignedForMs = weekMs) {
  return openUnsignedWindow({ folder: { path }, config: { unsignedForMs }, isNew, clock, log: silentLogger });
}

test("in a mesh that begins with this version nothing unsigned ever counts", () => {
  expect(open(true, new ManualClock(startMs)).unsignedUntilMs()).toBe(0);
  expect(open(false, new ManualClock(startMs + 1)).unsignedUntilMs()).toBe(0);
});

test("in one that was updated it counts from the first start on for the stated time, whatever is restarted", () => {
  expect(open(false, new ManualClock(startMs)).unsignedUntilMs()).toBe(startMs + weekMs);
  expect(open(false, new ManualClock(startMs + 5000)).unsignedUntilMs()).toBe(startMs + weekMs);
  expect(open(false, new ManualClock(startMs + 5000), 0).unsignedUntilMs()).toBe(startMs);
});

test("a damaged file closes it", () => {
  writeFileSync(join(path, "identity", "unsigned-since.json"), "{");
  expect(open(false, new ManualClock(startMs)).unsignedUntilMs()).toBe(0);
});

test("operators are told which proxies are still to be updated, and until when", async () => {
  const clock = new ManualClock(startMs);
  const window = open(false, clock);
  const fleet = new FleetState();
  for (const id of ["a", "b", "c", "d", "e", "f"]) fleet.hear(buildHeartbeat(id), startMs);
  fleet.hear(buildHeartbeat("signs"), startMs, startMs, { serial: "s", revoked: undefined });
  expect(window.problems(fleet.live(startMs))).toEqual([
    "proxies of an older version do not sign what they say and are believed until 2027-01-22T08:00:00.000Z: update a, b, c, d, e and 1 more",
  ]);
  await clock.advance(weekMs);
  expect(window.problems(fleet.live(startMs))).toEqual([]);
});
