/** Whom a request is about, read from its bytes by the number of a field. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  parseSubjectField,
  readSubject,
  renderSubjectField,
  subjectTypes,
} from "../../../../core/journal/private/subject.js";
import { runs } from "../../../support/runs.js";

const frame = (hex: string, flag = 0): Buffer => {
  const bytes = Buffer.from(hex, "hex");
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
};
const hexOf = (text: string): string => Buffer.from(text).toString("hex");
const ones = "ff".repeat(9);

describe("the text of a subject", () => {
  test.each([
    ["a string", "string", `1203${hexOf("ada")}`, "ada"],
    ["the string 0", "string", "120130", "0"],
    ["a string behind other fields", "string", `0801${"1d00000000"}1203${hexOf("eve")}`, "eve"],
    ["the last of several", "string", `1203${hexOf("ada")}1203${hexOf("eve")}`, "eve"],
    ["the first, if the second is of another type", "string", `1203${hexOf("ada")}1007`, "ada"],
    ["bytes, in hexadecimal", "bytes", "1203ff00a1", "ff00a1"],
    ["a positive int64", "int64", "10ac02", "300"],
    ["a negative int32", "int32", `10${ones}01`, "-1"],
    ["an int32 with more bits than it has", "int32", "108180808010", "1"],
    ["the largest uint64", "uint64", `10${ones}01`, "18446744073709551615"],
    ["the largest uint32", "uint32", "10ffffffff0f", "4294967295"],
    ["a negative sint32", "sint32", "1003", "-2"],
    ["the smallest sint64", "sint64", `10${ones}01`, "-9223372036854775808"],
    ["a fixed32", "fixed32", "15ffffffff", "4294967295"],
    ["an sfixed32", "sfixed32", "15ffffffff", "-1"],
    ["a fixed64", "fixed64", "110100000000000080", "9223372036854775809"],
    ["an sfixed64", "sfixed64", "11feffffffffffffff", "-2"],
  ] as const)("%s", (_what, type, hex, text) => {
    expect(readSubject(frame(hex), { number: 2, type })).toEqual({ text });
  });

  test("of a streamed request is in its first message", () => {
    const framed = Buffer.concat([frame(`1203${hexOf("ada")}`), frame(`1203${hexOf("eve")}`)]);
    expect(readSubject(framed, { number: 2, type: "string" })).toEqual({ text: "ada" });
  });
});

describe("is not there, with the reason", () => {
  const long = `12${"8104"}${"61".repeat(513)}`;
  test.each([
    ["no message", Buffer.alloc(0), /^is empty: field 2 of the request names nobody$/],
    ["another field", frame("0801"), /^is empty/],
    ["an empty string", frame("1200"), /^is empty/],
    ["a last one that is empty", frame(`1203${hexOf("ada")}1200`), /^is empty/],
    ["a compressed message", frame("1200", 1), /^cannot be read: the message is compressed$/],
    ["half a frame", frame("1200").subarray(0, 6), /^cannot be read: the request is not in whole messages$/],
    ["a group", frame("0b0c"), /^cannot be read: the message is no protobuf, or has groups$/],
    ["a length that lies", frame("127f61"), /^cannot be read: the message is no protobuf/],
    ["no UTF-8", frame("1201ff"), /^is no text in UTF-8$/],
    ["more than 512 bytes", frame(long), /^has 513 bytes, at most 512 are allowed$/],
  ])("%s", (_what, framed, why) => {
    expect(readSubject(framed, { number: 2, type: "string" })).toEqual({ why: expect.stringMatching(why) });
  });

  test("zero, which is as a missing number", () => {
    expect(readSubject(frame("1000"), { number: 2, type: "int32" })).toEqual({
      why: expect.stringMatching(/^is empty/),
    });
  });
});

test("any bytes have a subject or a reason, and nothing is thrown", () => {
  const anyType = fc.constantFrom(...subjectTypes);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), anyType, (bytes, isFramed, type) => {
      const framed = isFramed ? frame(Buffer.from(bytes).toString("hex")) : bytes;
      const found = readSubject(framed, { number: 2, type });
      if ("text" in found) expect(found.text).not.toBe("");
      else expect(found.why).not.toBe("");
    }),
    { numRuns: runs(1000) },
  );
});

test.each([
  ["a.B/C request.2", { method: "a.B/C", number: 2, type: "string" }],
  ["a.B/C request.2 int64", { method: "a.B/C", number: 2, type: "int64" }],
  ["a.B/C request.2 string", undefined],
  ["a.B/C request.2.1", undefined],
  ["a.B/C response.2", undefined],
  ["a.B/C request.0", undefined],
  ["a.B/C request.536870912", undefined],
  ["a.B/C request.owner", undefined],
  ["a.B/C request.2 double", undefined],
])("%s is read, and written again as it was", (text, expected) => {
  const found = parseSubjectField(text);
  expect(found).toEqual(expected);
  if (found !== undefined) expect(renderSubjectField(found)).toBe(text);
});
