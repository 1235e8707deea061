import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { FieldChanges } from "../../../data-plane/proxy/forward/field-changes.js";
import { joinHeader } from "../../../data-plane/proxy/request-head.js";

/** Names with an id, names without one that differ little, and one that is longer than any name with an id. */
const long = `x-${"a".repeat(60)}`;
const names = [
  "te",
  "user-agent",
  "traceparent",
  "x-request-id",
  "x-beta",
  "x-betb",
  "x-bet",
  "y-beta",
  long,
  `${long}b`,
];
const name = fc.constantFrom(...names);
const header = fc.record({ name, value: fc.constantFrom("", "1", "a,b", "x-beta"), isDropped: fc.boolean() });
const headers = fc.array(header, { maxLength: 60 });

function blockOf(fields: readonly { name: string; value: string; isDropped: boolean }[]): FieldBlock {
  const block = new FieldBlock();
  for (const [place, field] of fields.entries()) {
    block.add(field.name, field.value);
    if (field.isDropped) block.drop(place);
  }
  return block;
}

test("a header that policy names is read as by comparing texts", () => {
  fc.assert(
    fc.property(headers, name, (fields, wanted) => {
      const values = fields.filter((field) => field.name === wanted && !field.isDropped).map(({ value }) => value);
      expect(joinHeader(blockOf(fields), wanted)).toBe(values.length === 0 ? undefined : values.join(","));
    }),
  );
});

test("a route removes the fields with the names that it states, and no others", () => {
  fc.assert(
    fc.property(headers, fc.array(name), (fields, dropped) => {
      const block = blockOf(fields);
      new FieldChanges(dropped, []).drop(block);
      expect(fields.map((_, place) => block.isDropped(place))).toEqual(
        fields.map((field) => field.isDropped || dropped.includes(field.name)),
      );
    }),
  );
});
