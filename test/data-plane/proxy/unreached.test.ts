import { expect, test } from "@jest/globals";
import { Unreached } from "../../../data-plane/proxy/unreached.js";

test("an instance that cannot be connected to is told once, after five seconds, and again after it was reached", () => {
  const unreached = new Unreached();
  expect([unreached.failed("a", 0), unreached.failed("a", 4999), unreached.failed("b", 4999)]).toEqual([
    false,
    false,
    false,
  ]);
  expect([unreached.failed("a", 5000), unreached.failed("a", 60_000)]).toEqual([true, false]);
  expect([unreached.reached("b"), unreached.reached("a"), unreached.reached("a")]).toEqual([false, true, false]);
  expect([unreached.failed("a", 70_000), unreached.failed("a", 75_000)]).toEqual([false, true]);
});

test("what is kept is bounded: the oldest makes room", () => {
  const unreached = new Unreached();
  for (let index = 0; index < 1000; index += 1) unreached.failed(`p-${index}`, 0);
  expect([unreached.failed("p-999", 5000), unreached.failed("p-0", 5000)]).toEqual([true, false]);
});
