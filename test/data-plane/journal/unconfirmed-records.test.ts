import { expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import { confirmationsMax } from "../../../core/wire/journal/fields.js";
import { UnconfirmedRecords } from "../../../data-plane/journal/unconfirmed-records.js";

const digest = digestOf(Buffer.from("a record"));
const sequences = (confirms: readonly { readonly sequence: number }[]) => confirms.map(({ sequence }) => sequence);

function storedUpTo(count: number): UnconfirmedRecords {
  const records = new UnconfirmedRecords();
  for (let sequence = 1; sequence <= count; sequence += 1) records.stored(sequence, digest, []);
  return records;
}

test("records that are under way at the same time confirm others", () => {
  const records = storedUpTo(confirmationsMax + 3);
  expect(records.take(0)).toHaveLength(confirmationsMax);
  expect(sequences(records.take(0))).toEqual([confirmationsMax + 1, confirmationsMax + 2, confirmationsMax + 3]);
  expect(records.take(0)).toEqual([]);
});

test("what a stored record confirms is confirmed by no other one", () => {
  const records = storedUpTo(2);
  records.stored(3, digest, records.take(0));
  expect(sequences(records.take(60_000))).toEqual([3]);
});

test("what a record confirms that is not stored in ten seconds is confirmed by a later one", () => {
  const records = storedUpTo(2);
  const lost = records.take(0);
  records.stored(3, digest, []);
  expect(sequences(records.take(9_999))).toEqual([3]);
  expect(sequences(records.take(10_000))).toEqual(sequences(lost));
});
