import { expect, test } from "@jest/globals";
import { LostTime } from "../../runtime/lost-time.js";

test("time is lost when a timer is much later than it should be", () => {
  const lost = new LostTime(1000, 0);
  expect([lost.turn(1000), lost.turn(2200), lost.totalMs(3300)]).toEqual([0, 0, 0]);
  expect(lost.totalMs(9200)).toBe(6000); // as soon as it is asked, whether `turn` came or not
  expect([lost.turn(9200), lost.turn(10_200), lost.totalMs(10_200)]).toEqual([6000, 0, 6000]);
});
