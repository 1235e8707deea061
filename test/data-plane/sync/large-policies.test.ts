import { expect, test } from "@jest/globals";
import { giveBackAfterLargePolicies, largeListUnits } from "../../../data-plane/sync/large-policies.js";

const listOf = (length: number) => ({ list: { units: Array.from({ length }) } });

test("each list of many units is a reason to give memory back, once, also one from disk", () => {
  const held = [listOf(largeListUnits)];
  let change = (): void => {};
  let asked = 0;
  const sync = {
    held: () => held,
    onChange(listener: () => void) {
      change = listener;
      return () => {};
    },
  };
  const collection = {
    async soon() {
      asked += 1;
    },
  };
  giveBackAfterLargePolicies(sync, () => collection);
  expect(asked).toBe(1);
  change();
  held.push(listOf(largeListUnits - 1));
  change();
  expect(asked).toBe(1);
  held.push(listOf(largeListUnits));
  change();
  expect(asked).toBe(2);
});
