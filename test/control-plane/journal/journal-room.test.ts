import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { fitJournals, journalBytesMin, promisedBytes } from "../../../control-plane/journal/journal-room.js";

const mebibyte = 1024 * 1024;
const wanted = 8192 * mebibyte;
const fresh = { service: "a", storedBytes: 0, boundBytes: 0 };

for (const [freeMebibytes, bound] of [
  [100_000, 8192],
  [1000, 360],
  [10, 4],
] as const)
  test(`with ${freeMebibytes} MiB free a new journal keeps ${bound} MiB`, () => {
    expect((fitJournals(freeMebibytes * mebibyte, [fresh], wanted).get("a") ?? 0) / mebibyte).toBe(bound);
  });

test("a bound is never near or below what its journal holds, however full the disk is (property)", () => {
  const bytes = fc.integer({ min: 0, max: 20_000 * mebibyte });
  const journals = fc.array(fc.record({ storedBytes: bytes, room: bytes }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(bytes, journals, (free, drawn) => {
      const uses = drawn.map(({ storedBytes, room }, at) => {
        return { service: `s${at}`, storedBytes, boundBytes: storedBytes + room + 1 };
      });
      const bounds = fitJournals(free, uses, wanted);
      for (const { service, storedBytes, boundBytes } of uses) {
        const bound = bounds.get(service) ?? 0;
        expect(bound).toBeGreaterThanOrEqual(Math.min(boundBytes, storedBytes + 256 * mebibyte));
        expect(bound).toBeGreaterThanOrEqual(Math.min(boundBytes, journalBytesMin));
      }
    }),
  );
});

test("what journals may still take is not given to other streams", () => {
  expect(promisedBytes([{ service: "a", storedBytes: 100, boundBytes: 500 }])).toBe(500);
});
