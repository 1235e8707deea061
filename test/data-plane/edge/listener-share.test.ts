import { expect, test } from "@jest/globals";
import { shareOf, warnOfFewFiles } from "../../../data-plane/edge/listener-share.js";
import { edgeLimits } from "../../../data-plane/proxy/forward/listener-limits.js";

test("listeners share three quarters of the descriptors, and each has room for some in the handshake", () => {
  const { connectionsMax, unprovenMax } = edgeLimits;
  expect(shareOf(edgeLimits, 2, 1_000_000)).toMatchObject({ connectionsMax, unprovenMax });
  const tight = shareOf(edgeLimits, 3, 1000);
  expect(tight).toMatchObject({ connectionsMax: 167, unprovenMax: 83 });
  expect((tight.connectionsMax + tight.unprovenMax) * 3).toBeLessThanOrEqual(750);
  // of 20,000 files
  expect(shareOf(edgeLimits, 3, 19_900)).toMatchObject({ connectionsMax, unprovenMax: 621 });
  expect(shareOf(edgeLimits, 3, 0)).toMatchObject({ connectionsMax: 1, unprovenMax: 1 });
});

test("an operator is told at the start how many connections a listener takes, where the files are few", () => {
  const told: unknown[] = [];
  const log = { warn: (_message: string, about?: object) => void told.push(about) };
  warnOfFewFiles(log, edgeLimits, 3, 19_900);
  expect(told).toEqual([]);
  warnOfFewFiles(log, edgeLimits, 3, 1000);
  expect(told).toEqual([{ connectionsOfEach: 167 }]);
});
