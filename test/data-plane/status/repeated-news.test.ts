/** Which heartbeats a proxy calls repetitions. */
import { expect, test } from "@jest/globals";
import type { Heartbeat } from "../../../core/model.js";
import { repeatHeader } from "../../../core/wire/statement.js";
import { RepeatedNews } from "../../../data-plane/status/repeated-news.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";

const said = (parts: readonly (Partial<Heartbeat> & { readonly awaited?: boolean })[]): string => {
  const news = new RepeatedNews();
  return parts
    .map(({ awaited = false, ...one }) => news.headersFor(buildHeartbeat("p1", one), awaited)[repeatHeader] ?? "-")
    .join("");
};

test("the third of three that say the same is one, since the first may have been lost", () => {
  expect(said([{}, {}, {}, {}])).toBe("--11");
});

test("times and counts of calls are no news", () => {
  const calls = (count: number) => ({ calls: count, refused: 0, failed: 0, took: [] });
  const turn = (at: number) => ({
    timeMs: at,
    freshnessAgeMs: at,
    lagMs: at,
    calls: calls(at),
    callsBefore: calls(at),
  });
  expect(said([turn(1), turn(2), turn(3)])).toBe("--1");
});

test("whatever else is said differently is news, and must be said twice more", () => {
  expect(said([{}, {}, {}, { seenEpoch: 5 }, { seenEpoch: 5 }, { seenEpoch: 5 }, { leaving: true }])).toBe("--1--1-");
});

test("where somebody waits for counts nothing is a repetition, nor right after that", () => {
  expect(said([{}, {}, { awaited: true }, { awaited: true }, {}, {}])).toBe("-----1");
});
