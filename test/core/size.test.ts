import { expect, test } from "@jest/globals";
import { expectedSize, parseSizeBytes, sizeBytes } from "../../core/size.js";

test.each([
  ["64KiB", 65_536],
  ["64MiB", 67_108_864],
  ["2GiB", 2_147_483_648],
  ["0MiB", 0],
] as const)("%s is %d bytes, whatever a plain number would be", (text, bytes) => {
  expect([parseSizeBytes(text, "KiB"), parseSizeBytes(text, "MiB")]).toEqual([bytes, bytes]);
});

test("a plain number is in the unit that the setting says", () => {
  expect([parseSizeBytes("64", "KiB"), parseSizeBytes("64", "MiB")]).toEqual([sizeBytes(64, "KiB"), 67_108_864]);
});

test.each(["", "MiB", "-1MiB", "1.5MiB", "1 MiB", "64mib", "64MB", "64M", "1TiB", "9999999999", "64MiB\n"])(
  "%j is no size",
  (text) => {
    expect(parseSizeBytes(text, "MiB")).toBeUndefined();
  },
);

test("a message says the bounds and what a plain number is", () => {
  expect(expectedSize(1, 16, "MiB")).toBe("a size such as 64MiB, from 1MiB to 16MiB (a plain number is MiB)");
});
