import assert from "node:assert/strict";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { test } from "@jest/globals";
import fc from "fast-check";
import { type Cuts, cutFrames, cutsOf } from "../../../../core/journal/private/cut.js";
import { restoreBytes } from "../../../../core/journal/private/edits.js";

const frame = (message: Uint8Array, isCompressed = false): Uint8Array => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(isCompressed ? 1 : 0);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const writer = () => new BinaryWriter();
const hold = (write: (inner: BinaryWriter) => BinaryWriter): Uint8Array => write(writer()).finish();

const person = hold((it) => it.uint32(10).string("ada").uint32(16).int32(7).uint32(26).bytes(new Uint8Array(200)));

for (const [name, message, paths, stays] of [
  ["a field", person, [[1]], hold((it) => it.uint32(16).int32(7).uint32(26).bytes(new Uint8Array(200)))],
  [
    "all items of a repeated field",
    hold((it) => it.uint32(10).string("a").uint32(10).string("b").uint32(16).int32(1)),
    [[1]],
    hold((it) => it.uint32(16).int32(1)),
  ],
  [
    "a packed field",
    hold((it) =>
      it
        .uint32(34)
        .bytes(Uint8Array.of(1, 2, 3))
        .uint32(16)
        .int32(1),
    ),
    [[4]],
    hold((it) => it.uint32(16).int32(1)),
  ],
  [
    "a negative number and a fixed one",
    hold((it) => it.uint32(8).int64(-1).uint32(17).double(2).uint32(29).float(1).uint32(32).int32(1)),
    [[1], [2], [3]],
    hold((it) => it.uint32(32).int32(1)),
  ],
  [
    "a field of a nested message, whose length is written anew",
    hold((it) => it.uint32(18).bytes(person)),
    [[2, 3]],
    hold((it) => it.uint32(18).bytes(hold((inner) => inner.uint32(10).string("ada").uint32(16).int32(7)))),
  ],
  [
    "the values of a map",
    hold((it) => it.uint32(10).bytes(hold((one) => one.uint32(10).string("k").uint32(18).string("v")))),
    [[1, 2]],
    hold((it) => it.uint32(10).bytes(hold((one) => one.uint32(10).string("k")))),
  ],
  [
    "what a path goes through and is no message",
    hold((it) => it.uint32(8).int32(5).uint32(16).int32(1)),
    [[1, 2]],
    hold((it) => it.uint32(16).int32(1)),
  ],
  ["a group: the whole message", hold((it) => it.uint32(11).uint32(16).int32(1).uint32(12)), [[9]], new Uint8Array()],
  [
    "a group in what a path goes through: the whole message",
    hold((it) => it.uint32(10).bytes(hold((one) => one.uint32(11).uint32(12)))),
    [[1, 9]],
    new Uint8Array(),
  ],
  ["no protobuf: the whole message", Uint8Array.of(0xff, 0xff), [[1]], new Uint8Array()],
  ["a field number 0: the whole message", Uint8Array.of(0, 1), [[1]], new Uint8Array()],
] as const)
  test(`cut is ${name}`, () => {
    const framed = frame(message);
    const { stored, edits } = cutFrames(framed, cutsOf(paths));
    assert.equal(hex(stored), hex(frame(stays)));
    assert.ok(edits !== undefined);
    assert.equal(hex(restoreBytes(stored, edits)), hex(framed));
  });

test("what has no such field stays as it is", () => {
  const framed = frame(person);
  assert.deepEqual(cutFrames(framed, cutsOf([[9], [8, 1]])), { stored: Buffer.from(framed), edits: undefined });
});

test("a compressed message is cut out whole, and the others in its stream by field", () => {
  const framed = Buffer.concat([frame(person, true), frame(person), frame(new Uint8Array(), true)]);
  const { stored, edits } = cutFrames(framed, cutsOf([[3]]));
  const plain = frame(hold((it) => it.uint32(10).string("ada").uint32(16).int32(7)));
  assert.equal(hex(stored), hex(Buffer.concat([frame(new Uint8Array()), plain, frame(new Uint8Array(), true)])));
  assert.equal(hex(restoreBytes(stored, edits ?? new Uint8Array())), hex(framed));
});

test("a path through one that is cut whole adds nothing, in either order", () => {
  assert.deepEqual(cutsOf([[1, 2], [1]]), new Map([[1, "all"]]));
  assert.deepEqual(cutsOf([[1], [1, 2]]), new Map([[1, "all"]]));
});

const paths = fc.array(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }), { maxLength: 4 });
/** Bytes as protobuf has them for the most part: fields 1 to 5 of every type, nested, some of them broken. */
const messages = fc.letrec<{ message: Uint8Array; field: Uint8Array }>((tie) => ({
  message: fc.array(tie("field"), { maxLength: 4 }).map((fields) => Buffer.concat(fields)),
  field: fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 6 }) },
    {
      weight: 4,
      arbitrary: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.bigInt(0n, 2n ** 64n - 1n)).map(([n, v]) =>
        writer()
          .uint32(n * 8)
          .uint64(v)
          .finish(),
      ),
    },
    {
      weight: 6,
      arbitrary: fc.tuple(fc.integer({ min: 1, max: 5 }), tie("message")).map(([n, inner]) =>
        writer()
          .uint32(n * 8 + 2)
          .bytes(inner)
          .finish(),
      ),
    },
    // a length that takes more bytes than it needs
    {
      weight: 2,
      arbitrary: tie("message").map((inner) =>
        Buffer.concat([Uint8Array.of(0x0a, 0x80 + (inner.length % 128), 0x80 + (inner.length >> 7), 0), inner]),
      ),
    },
  ),
})).message;

/** Whether a field that is to be cut is in a message. */
function holds(message: Uint8Array, cuts: Cuts): boolean {
  const again = cutFrames(frame(message), cuts);
  return again.edits !== undefined;
}

test("cut and put back: the same bytes, and nothing to cut stays", () =>
  fc.assert(
    fc.property(fc.array(messages, { maxLength: 3 }), paths, (all, given) => {
      const framed = Buffer.concat(all.map((one) => frame(one)));
      const cuts = cutsOf(given);
      const { stored, edits } = cutFrames(framed, cuts);
      assert.equal(hex(restoreBytes(stored, edits ?? new Uint8Array())), hex(framed));
      for (let at = 0; at < stored.length; ) {
        const length = Buffer.from(stored).readUInt32BE(at + 1);
        assert.equal(holds(stored.subarray(at + 5, at + 5 + length), cuts), false);
        at += 5 + length;
      }
    }),
  ));

test("any bytes: cut and put back are the same", () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), paths, (framed, given) => {
      const { stored, edits } = cutFrames(framed, cutsOf(given));
      assert.equal(hex(restoreBytes(stored, edits ?? new Uint8Array())), hex(framed));
    }),
  ));

test("edits of other bytes are refused, or put something back: never an endless one", () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 40 }), (stored, edits) => {
      try {
        assert.ok(restoreBytes(stored, edits).length <= stored.length + edits.length);
      } catch (error) {
        assert.match(String(error), /private parts/);
      }
    }),
  ));
