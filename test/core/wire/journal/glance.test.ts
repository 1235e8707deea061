import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { glanceAtEntry, glanceAtOutcome } from "../../../../core/wire/journal/glance.js";
import { JournalEntry, JournalOutcome } from "../../../../proto/gen/ashlar/v1/journal.js";

const bytes = (most: number) => fc.uint8Array({ maxLength: most }).map((array) => Buffer.from(array));
const natural = fc.maxSafeNat();
const outcome = fc.record({
  ...{ service: fc.string(), proxyId: fc.string(), timeMs: natural, entry: natural, entryDigest: bytes(32) },
  ...{ code: fc.nat(16), response: bytes(300), notForwarded: fc.boolean(), behind: natural },
});
const entry = fc.record({
  ...{ service: fc.string(), life: bytes(16), method: fc.string({ maxLength: 200 }), revision: natural },
  ...{ expected: natural, afterVoid: natural, deadlineMs: natural, request: bytes(300) },
  ...{ fields: fc.array(fc.record({ name: fc.string(), value: bytes(20) }), { maxLength: 3 }) },
  outcome: fc.option(outcome, { nil: undefined }),
});
const encodeEntry = (of: Parameters<typeof JournalEntry.fromPartial>[0]): Uint8Array =>
  JournalEntry.encode(JournalEntry.fromPartial(of)).finish();
const encodeOutcome = (of: Parameters<typeof JournalOutcome.fromPartial>[0]): Uint8Array =>
  JournalOutcome.encode(JournalOutcome.fromPartial(of)).finish();

test("what is seen of a record is what a decoder finds there", () => {
  fc.assert(
    fc.property(entry, (each) => {
      const { deadlineMs } = each;
      expect(glanceAtEntry(encodeEntry(each))).toEqual({ deadlineMs, hasOutcome: each.outcome !== undefined });
    }),
  );
  fc.assert(
    fc.property(outcome, (each) => {
      expect(glanceAtOutcome(encodeOutcome(each))).toBe(each.entry === 0 ? undefined : each.entry);
    }),
  );
});

test("nothing is seen in bytes that are cut off, and no bytes make it fail", () => {
  const whole = encodeEntry({ service: "ledger", deadlineMs: 5, request: Buffer.alloc(300) });
  expect(glanceAtEntry(whole)).toEqual({ deadlineMs: 5, hasOutcome: false });
  expect(glanceAtEntry(whole.subarray(0, -1))).toBeUndefined();
  expect(glanceAtOutcome(encodeOutcome({ entry: 7, response: Buffer.alloc(3) }).subarray(0, -1))).toBeUndefined();
  expect(glanceAtOutcome(Buffer.from("a text"))).toBeUndefined();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (any) => {
      glanceAtEntry(any);
      glanceAtOutcome(any);
    }),
    { numRuns: 1000 },
  );
});

test("a number that is too long to be exact is none", () => {
  const most = Buffer.from([4 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
  expect(glanceAtOutcome(most)).toBe(Number.MAX_SAFE_INTEGER);
  const more = Buffer.from([4 << 3, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
  expect(glanceAtOutcome(more)).toBeUndefined();
  expect(glanceAtOutcome(Buffer.from([4 << 3, ...Buffer.alloc(12, 0xff)]))).toBeUndefined();
});
