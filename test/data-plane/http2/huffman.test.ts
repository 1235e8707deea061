import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeHuffman, encodeHuffman, huffmanLength } from "../../../data-plane/http2/huffman.js";
import { runs } from "../../support/runs.js";

function encode(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length * 4 + 8);
  return out.slice(0, encodeHuffman(bytes, 0, bytes.length, out, 0));
}

function decode(bytes: Uint8Array): Uint8Array | undefined {
  const out = new Uint8Array(bytes.length * 2 + 8);
  const end = decodeHuffman(bytes, 0, bytes.length, out, 0);
  return end < 0 ? undefined : out.slice(0, end);
}

test("the examples of RFC 7541, C.4 and C.6, encode to the bytes given there", () => {
  const vectors: ReadonlyArray<readonly [string, string]> = [
    ["www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"],
    ["no-cache", "a8eb10649cbf"],
    ["custom-key", "25a849e95ba97d7f"],
    ["custom-value", "25a849e95bb8e8b4bf"],
    ["302", "6402"],
    ["private", "aec3771a4b"],
    ["Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"],
    ["https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"],
    ["307", "640eff"],
    ["gzip", "9bd9ab"],
    [
      "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
      "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ],
  ];
  for (const [text, hex] of vectors) {
    expect(Buffer.from(encode(Buffer.from(text, "latin1"))).toString("hex")).toBe(hex);
    expect(Buffer.from(decode(Buffer.from(hex, "hex")) ?? []).toString("latin1")).toBe(text);
  }
});

test("decoding undoes encoding for any bytes, and the length is told beforehand", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const coded = encode(bytes);
      expect(coded.length).toBe(huffmanLength(bytes, 0, bytes.length));
      expect(decode(coded)).toEqual(bytes);
    }),
    { numRuns: runs(500) },
  );
});

test("every single byte and every pair of bytes survives", () => {
  for (let a = 0; a < 256; a++) {
    expect(decode(encode(Uint8Array.of(a)))).toEqual(Uint8Array.of(a));
    for (let b = 0; b < 256; b += 3) {
      const pair = Uint8Array.of(a, b);
      if (Buffer.compare(decode(encode(pair)) ?? Buffer.alloc(0), pair) !== 0) throw new Error(`${a} ${b}`);
    }
  }
});

test("EOS, long padding and padding that is not ones are refused", () => {
  expect(decode(Uint8Array.of(0xff, 0xff, 0xff, 0xff))).toBeUndefined();
  expect(decode(Uint8Array.of(0xff))).toBeUndefined();
  expect(decode(Uint8Array.of(0x07, 0xff))).toBeUndefined();
  expect(decode(Uint8Array.of(0x00))).toBeUndefined(); // "0" and three zero bits
  expect(decode(Uint8Array.of(0x07))).toEqual(Uint8Array.of(0x30));
  expect(decode(Uint8Array.of())).toEqual(Uint8Array.of());
});

test("what decodes encodes to the same bytes: there is one encoding of a text", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const text = decode(bytes);
      if (text !== undefined) expect(encode(text)).toEqual(bytes);
    }),
    { numRuns: runs(2000) },
  );
});
