import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { durationPattern, parseDurationMs, parseOptionMs, renderDuration } from "../../core/duration.js";

const read: readonly (readonly [string, number])[] = [
  ["500ms", 500],
  ["0s", 0],
  ["10s", 10_000],
  ["1.5m", 90_000],
  ["0.001s", 1],
  ["24h", 86_400_000],
  ["7d", 604_800_000],
  ["2592000000ms", 2_592_000_000],
];
test.each(read)("%s is %d ms", (text, ms) => {
  expect([parseDurationMs(text), parseOptionMs(text)]).toEqual([ms, ms]);
});

const none = ["", "s", "1", "1 s", "-1s", "+1s", "1S", "1e3s", "1.s", ".5s", "1.0001s", "0.5ms", "1s1ms", "1w", "1s\n"];
test.each(none)("%j is no duration", (text) => {
  expect(parseDurationMs(text)).toBeUndefined();
});

test("a plain number is milliseconds in options and settings, and nothing in policy", () => {
  expect([parseOptionMs("250"), parseDurationMs("250")]).toEqual([250, undefined]);
  expect([parseOptionMs("2.5"), parseOptionMs("")]).toEqual([undefined, undefined]);
});

test("what is too long to be counted in whole milliseconds is no duration", () => {
  expect(parseDurationMs("999999999999d")).toBeUndefined();
});

test("what is rendered is read back, and the pattern of editors admits it", () => {
  fc.assert(
    fc.property(fc.nat(10 ** 10), (ms) => {
      const text = renderDuration(ms);
      expect(parseDurationMs(text)).toBe(ms);
      expect(text).toMatch(new RegExp(durationPattern));
    }),
  );
});

test("the pattern of editors admits what is read, and no other form", () => {
  const pattern = new RegExp(durationPattern);
  expect(read.filter(([text]) => !pattern.test(text))).toEqual([]);
  expect(none.filter((text) => pattern.test(text))).toEqual(["0.5ms"]); // of the form, but no whole number
});
