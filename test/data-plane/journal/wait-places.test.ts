/** Which reads get a place to wait. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { WaitPlaces } from "../../../data-plane/journal/wait-places.js";
import { runs } from "../../support/runs.js";

const takeAll = (places: WaitPlaces, caller: string, client = ""): (() => void)[] => {
  const taken = [];
  for (let give = places.take(caller, client); give !== undefined; give = places.take(caller, client)) taken.push(give);
  return taken;
};

test("one caller gets half, the next ones their part of the rest, and what is given back is there again", () => {
  const places = new WaitPlaces(1024);
  const first = takeAll(places, "a");
  expect(["b", "c", "d"].map((caller) => takeAll(places, caller).length)).toEqual([256, 128, 64]);
  expect(first).toHaveLength(512);
  for (const give of [...first, ...first]) give(); // twice is once
  expect(takeAll(places, "a")).toHaveLength(288);
});

test("one client of a gateway gets a third, others of the gateway their part, and services theirs", () => {
  const places = new WaitPlaces(1024);
  expect(takeAll(places, "gateway", "192.0.2.1")).toHaveLength(342);
  expect(takeAll(places, "gateway", "192.0.2.2").length).toBeGreaterThan(100);
  for (let client = 0; client < 1000; client++) takeAll(places, "gateway", `client ${client}`);
  expect(takeAll(places, "shop").length).toBeGreaterThan(200);
});

test("whoever has none gets one, as long as callers are fewer than places; all are given back", () => {
  const callers = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 200 });
  fc.assert(
    fc.property(callers, (all) => {
      const places = new WaitPlaces(64);
      const given = all.flatMap((caller) => places.take(`caller ${caller}`, "") ?? []);
      expect(given.length).toBeLessThan(64);
      expect(places.take("new", "")).toBeDefined();
      for (const give of given) give();
      expect(takeAll(places, "again").length).toBeGreaterThanOrEqual(31);
    }),
    { numRuns: runs(200) },
  );
});
