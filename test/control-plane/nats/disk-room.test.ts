import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { fitBounds, isOff, neededBytes } from "../../../control-plane/nats/disk-room.js";
import { boundsDefault } from "../../../control-plane/store/streams.js";

const mebibyte = 1024 * 1024;
const nothing = { decisions: 0, endpoints: 0, audit: 0 };
const sumOf = ({ decisions, endpoints, audit }: typeof nothing): number => decisions + endpoints + audit;
const inMebibytes = (freeMebibytes: number, stored = nothing) => {
  const bounds = fitBounds({ freeBytes: freeMebibytes * mebibyte, stored, wanted: boundsDefault });
  return [bounds.decisions, bounds.endpoints, bounds.audit].map((bytes) => bytes / mebibyte);
};

describe("bounds of streams", () => {
  for (const [free, bounds] of [
    [100_000, [512, 256, 256]],
    [400, [144, 72, 72]],
    [40, [10, 5, 5]],
    [0, [4, 1, 1]],
  ] as const)
    test(`with ${free} MiB free are ${bounds.join(", ")} MiB`, () => expect(inMebibytes(free)).toEqual(bounds));

  test("are never less than what is stored, and leave room for the logs where there is any (property)", () => {
    const bytes = fc.integer({ min: 0, max: 2000 * mebibyte });
    const stored = fc.record({ decisions: bytes, endpoints: bytes, audit: bytes });
    fc.assert(
      fc.property(bytes, stored, (freeBytes, held) => {
        const bounds = fitBounds({ freeBytes, stored: held, wanted: boundsDefault });
        for (const name of ["decisions", "endpoints", "audit"] as const)
          expect(bounds[name]).toBeGreaterThanOrEqual(held[name]);
        const more = fitBounds({ freeBytes: freeBytes + 50 * mebibyte, stored: held, wanted: boundsDefault });
        expect(sumOf(more)).toBeGreaterThanOrEqual(sumOf(bounds));
        const grown = sumOf(bounds) - sumOf(held); // what they may still take
        if (freeBytes >= neededBytes(true)) expect(grown).toBeLessThan(Math.max(freeBytes, 9 * mebibyte));
      }),
    );
  });

  test("do not follow what streams store themselves: what is stored more is free less", () => {
    const before = inMebibytes(300);
    expect(inMebibytes(200, { ...nothing, decisions: 100 * mebibyte })).toEqual(before);
  });

  test("are changed only where they are off by a fifth", () => {
    const now = { decisions: 100, endpoints: 50, audit: 50 };
    expect(isOff(now, { ...now, decisions: 119 })).toBe(false);
    expect(isOff(now, { ...now, audit: 39 })).toBe(true);
  });
});
