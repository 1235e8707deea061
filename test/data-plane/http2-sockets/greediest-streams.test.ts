import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Connection } from "../../../data-plane/http2/connection.js";
import type { Stream } from "../../../data-plane/http2/stream.js";
import { greediestStreams } from "../../../data-plane/http2-sockets/greediest-streams.js";

const connectionOf = (kept: readonly number[]): Connection => {
  const streams = kept.map((keptBytes, place) => ({ keptBytes, openedAtMs: place }) as Stream);
  return { streams: { all: () => streams } } as unknown as Connection;
};
const chosen = (connections: readonly (readonly number[])[], excess: number) =>
  greediestStreams(connections.map(connectionOf), excess).map(({ keptBytes }) => keptBytes);

test("the connections that keep the most give first, and of each the calls that keep the most, older ones first", () => {
  expect(chosen([[10, 10], [900, 100, 100], [20]], 300)).toEqual([900]);
  expect(
    chosen(
      [
        [10, 10],
        [100, 100, 100],
        [90, 90, 100],
      ],
      200,
    ),
  ).toEqual([100, 100, 100]);
  const same = connectionOf([50, 50, 50]);
  expect(greediestStreams([same], 60).map(({ openedAtMs }) => openedAtMs)).toEqual([0, 1]);
  expect(chosen([[10], [0, 0]], 1000)).toEqual([10]);
  expect(chosen([], 10)).toEqual([]);
});

test("enough is given if there is enough, and no connection gives that keeps less than another one is left with", () => {
  const connections = fc.array(fc.array(fc.nat(20_000), { maxLength: 20 }), { maxLength: 12 });
  fc.assert(
    fc.property(connections, fc.nat(200_000), (all, excess) => {
      const total = all.flat().reduce((sum, bytes) => sum + bytes, 0);
      const given = chosen(all, excess).reduce((sum, bytes) => sum + bytes, 0);
      expect(given).toBeGreaterThanOrEqual(Math.min(excess, total));
      const largest = Math.max(0, ...all.flat());
      expect(given).toBeLessThanOrEqual(excess + largest * all.length);
    }),
  );
});
