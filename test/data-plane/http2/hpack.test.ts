import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { fieldFlag } from "../../../data-plane/http2/field-classes.js";
import { decoded, HpackDecoder } from "../../../data-plane/http2/hpack-decoder.js";
import { HpackEncoder } from "../../../data-plane/http2/hpack-encoder.js";
import { encodeHuffman } from "../../../data-plane/http2/huffman.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { runs } from "../../support/runs.js";

type Field = readonly [name: string, value: string];
const limits = { headerFieldsMax: 128, headerListBytesMax: 16_384 };

function decode(decoder: HpackDecoder, hex: string): Field[] {
  const bytes = Buffer.from(hex.replace(/\s/g, ""), "hex");
  expect(decoder.decode(bytes, 0, bytes.length)).toBe(decoded.ok);
  return listOf(decoder.fields);
}

function listOf(fields: FieldBlock): Field[] {
  return Array.from({ length: fields.count }, (_, i) => [fields.nameText(i), fields.valueText(i)] as const);
}

/** Spaces around a value are no part of it. */
const bare = ([name, value]: Field): Field => [name, value.replace(/^[ \t]+|[ \t]+$/g, "")];

function blockOf(fields: readonly Field[], flags = 0): FieldBlock {
  const block = new FieldBlock();
  for (const [name, value] of fields) block.add(name, value, flags);
  return block;
}

function encode(encoder: HpackEncoder, block: FieldBlock): Uint8Array {
  const out = new Uint8Array(block.listBytes + 64);
  encoder.begin(out, 0);
  encoder.message(null, block, null);
  return out.slice(0, encoder.end());
}

/** The prefix of a Huffman-coded string of 254 bytes to 16 KiB (RFC 7541, 5.2). */
function stringHead(length: number): Uint8Array {
  const rest = length - 127;
  return Uint8Array.of(
    0xff,
    (rest & 0x7f) | 0x80,
    ((rest >>> 7) & 0x7f) | (rest >= 0x4000 ? 0x80 : 0),
    ...(rest >= 0x4000 ? [rest >>> 14] : []),
  );
}

/** Only the order of fields with the same name means something. */
function byName(fields: readonly Field[]): readonly Field[] {
  return [...fields].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function result(hex: string, decoder = new HpackDecoder(limits)): number {
  const bytes = Buffer.from(hex.replace(/\s/g, ""), "hex");
  return decoder.decode(bytes, 0, bytes.length);
}

describe("the examples of RFC 7541, appendix C", () => {
  test("C.2: each kind of literal", () => {
    const decoder = new HpackDecoder(limits);
    expect(decode(decoder, "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572")).toEqual([
      ["custom-key", "custom-header"],
    ]);
    expect(decoder.table.size).toBe(55);
    expect(decode(decoder, "040c 2f73 616d 706c 652f 7061 7468")).toEqual([[":path", "/sample/path"]]);
    expect(decode(decoder, "1008 7061 7373 776f 7264 0673 6563 7265 74")).toEqual([["password", "secret"]]);
    expect(decoder.fields.flags(0) & fieldFlag.neverIndexed).not.toBe(0);
    expect(decode(decoder, "82")).toEqual([[":method", "GET"]]);
    expect(decoder.table.count).toBe(1);
  });

  const first: Field[] = [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
  ];
  const third: Field[] = [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ];

  test("C.3: requests without Huffman", () => {
    const decoder = new HpackDecoder(limits);
    expect(decode(decoder, "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d")).toEqual(first);
    expect(decode(decoder, "8286 84be 5808 6e6f 2d63 6163 6865")).toEqual([...first, ["cache-control", "no-cache"]]);
    expect(decode(decoder, "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65")).toEqual(third);
    expect(decoder.table.size).toBe(164);
  });

  test("C.4: requests with Huffman", () => {
    const decoder = new HpackDecoder(limits);
    expect(decode(decoder, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff")).toEqual(first);
    expect(decode(decoder, "8286 84be 5886 a8eb 1064 9cbf")).toEqual([...first, ["cache-control", "no-cache"]]);
    expect(decode(decoder, "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf")).toEqual(third);
    expect(decoder.table.size).toBe(164);
  });

  test("C.6: responses with Huffman and eviction in a table of 256 bytes", () => {
    const decoder = new HpackDecoder(limits);
    const start = "3fe101"; // size update to 256, which the RFC's example takes for granted
    const date: Field = ["date", "Mon, 21 Oct 2013 20:13:21 GMT"];
    const location: Field = ["location", "https://www.example.com"];
    const head = "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e";
    expect(decode(decoder, `${start}${head} 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`)).toEqual([
      [":status", "302"],
      ["cache-control", "private"],
      date,
      location,
    ]);
    expect(decoder.table.size).toBe(222);
    expect(decode(decoder, "4883 640e ffc1 c0bf")).toEqual([
      [":status", "307"],
      ["cache-control", "private"],
      date,
      location,
    ]);
    expect(decoder.table.size).toBe(222);
    const cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    const last =
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 " +
      "dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07";
    expect(decode(decoder, last)).toEqual([
      [":status", "200"],
      ["cache-control", "private"],
      ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
      location,
      ["content-encoding", "gzip"],
      ["set-cookie", cookie],
    ]);
    expect(decoder.table.size).toBe(215);
  });
});

describe("what breaks RFC 7541 is an error of the connection", () => {
  const cases: ReadonlyArray<readonly [string, string]> = [
    ["index 0", "80"],
    ["index 70 in an empty table", "c6"],
    ["a name by an index that is not there", "7f0300"],
    ["bad Huffman padding", "008161 8100".replace(/\s/g, "")],
    ["a table size above 4096", "3fe21f"],
    ["a size update after a field", "8220"],
    ["three size updates", "202020"],
    ["an integer that is cut short", "ff"],
    ["an integer beyond all reason", "ffffffffff7f"],
    ["a string that is cut short", "0005616263"],
    ["a literal without a value", "000161"],
  ];
  test.each(cases)("%s", (_name, hex) => expect(result(hex)).toBe(decoded.error));

  test("two size updates at the start of a block are as they should be", () => {
    expect(result("203fe11f82")).toBe(decoded.ok);
  });
});

describe("limits are applied while decoding", () => {
  test("129 fields are too many, and the table still learns from the block", () => {
    const decoder = new HpackDecoder(limits);
    const inserts = Buffer.from("4001610162", "hex");
    const bytes = Buffer.concat([Buffer.alloc(128, 0x82), inserts]);
    expect(decoder.decode(bytes, 0, bytes.length)).toBe(decoded.tooLarge);
    expect(decoder.fields.count).toBe(128);
    expect(decode(decoder, "be")).toEqual([["a", "b"]]);
  });

  test("a block that refers 16,000 times to an entry of 4 KiB is given up", () => {
    const decoder = new HpackDecoder(limits);
    const value = Buffer.alloc(3900, 0x61);
    const head = Buffer.concat([Buffer.from("400161", "hex"), Buffer.from("7fbd1d", "hex"), value]);
    expect(decoder.decode(head, 0, head.length)).toBe(decoded.ok);
    const bomb = Buffer.alloc(16_000, 0xbe);
    expect(decoder.decode(bomb, 0, bomb.length)).toBe(decoded.flood);
    expect(decoder.fields.bytes.length).toBeLessThan(64 * 1024);
  });

  test("a list of 20 KiB is too large, of 80 KiB a flood", () => {
    const literal = (length: number) => {
      const rest = length - 127;
      const size = Buffer.from([0x7f, (rest & 0x7f) | 0x80, ((rest >> 7) & 0x7f) | 0x80, rest >> 14]);
      return Buffer.concat([Buffer.from("000161", "hex"), size, Buffer.alloc(length, 0x61)]);
    };
    const decoder = new HpackDecoder(limits);
    const large = Buffer.concat([literal(10_000), literal(10_000)]);
    expect(decoder.decode(large, 0, large.length)).toBe(decoded.tooLarge);
    const one = literal(60_000);
    expect(decoder.decode(one, 0, one.length)).toBe(decoded.tooLarge);
    const flood = Buffer.concat([literal(60_000), literal(20_000)]);
    expect(decoder.decode(flood, 0, flood.length)).toBe(decoded.flood);
  });
});

const fieldArbitrary = fc.tuple(
  fc.oneof(
    fc.constantFrom(":path", ":status", "te", "grpc-timeout", "traceparent", "content-type", "x-a", "cookie"),
    fc.stringMatching(/^[a-z][a-z0-9-]{0,40}$/),
  ),
  fc.oneof(
    fc.constantFrom("200", "POST", "/", "trailers", "application/grpc", "same", ""),
    fc.stringMatching(/^[ -~]{0,60}$/),
    fc.integer({ min: 0, max: 3000 }).map((n) => "v".repeat(n)),
  ),
);

describe("decoding undoes encoding", () => {
  test("over any sequence of blocks, with and without never-indexed fields", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.array(fieldArbitrary, { maxLength: 5 }), fc.boolean()), { maxLength: 40 }),
        (blocks) => {
          const encoder = new HpackEncoder();
          const decoder = new HpackDecoder({ headerFieldsMax: 128, headerListBytesMax: 65_536 });
          for (const [fields, never] of [...blocks, ...blocks]) {
            const bytes = encode(encoder, blockOf(fields, never ? fieldFlag.neverIndexed : 0));
            expect(decoder.decode(bytes, 0, bytes.length)).toBe(decoded.ok);
            expect(listOf(decoder.fields)).toEqual(fields.map(bare));
            for (let i = 0; i < decoder.fields.count; i++) {
              expect((decoder.fields.flags(i) & fieldFlag.neverIndexed) !== 0).toBe(never);
            }
          }
          expect(decoder.table.size).toBe(encoder.table.size);
        },
      ),
      { numRuns: runs(150) },
    );
  });

  test("through a second hop, decoder to encoder, with table sizes that change", () => {
    const size = fc.constantFrom(0, 60, 300, 4096, 65_536);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.array(fieldArbitrary, { maxLength: 5 }), size, size), { maxLength: 40 }),
        (blocks) => {
          const one = new HpackEncoder();
          const hop = new HpackDecoder({ headerFieldsMax: 128, headerListBytesMax: 65_536 });
          const two = new HpackEncoder();
          const last = new HpackDecoder({ headerFieldsMax: 128, headerListBytesMax: 65_536 });
          for (const [fields, sizeOne, sizeTwo] of [...blocks, ...blocks]) {
            one.setTableMax(sizeOne);
            two.setTableMax(sizeTwo);
            two.setTableMax(sizeOne);
            const first = encode(one, blockOf(fields));
            expect(hop.decode(first, 0, first.length)).toBe(decoded.ok);
            const second = encode(two, hop.fields);
            expect(last.decode(second, 0, second.length)).toBe(decoded.ok);
            expect(byName(listOf(last.fields))).toEqual(byName(fields.map(bare)));
          }
        },
      ),
      { numRuns: runs(150) },
    );
  });

  test("a block that pushes out of the table what it refers to still has its own fields right", () => {
    const decoder = new HpackDecoder({ headerFieldsMax: 128, headerListBytesMax: 65_536 });
    expect(decode(decoder, `400161 0a ${Buffer.from("0123456789").toString("hex")}`)).toEqual([["a", "0123456789"]]);
    const big = Buffer.alloc(2000, 0x62);
    const insert = Buffer.concat([Buffer.from("4001637fd10e", "hex"), big]);
    const bytes = Buffer.concat([
      Buffer.from("be", "hex"),
      ...Array.from({ length: 12 }, () => insert),
      Buffer.from("be", "hex"),
    ]);
    expect(decoder.decode(bytes, 0, bytes.length)).toBe(decoded.ok);
    const list = listOf(decoder.fields);
    expect(list[0]).toEqual(["a", "0123456789"]);
    expect(list.slice(1).every(([name, value]) => name === "c" && value === big.toString("latin1"))).toBe(true);
    expect(list.length).toBe(14);
  });

  test("a field that must not be indexed is not, on the next hop either, however often it comes", () => {
    const [one, hop, two, last] = [
      new HpackEncoder(),
      new HpackDecoder(limits),
      new HpackEncoder(),
      new HpackDecoder(limits),
    ];
    for (let i = 0; i < 4; i++) {
      const first = encode(one, blockOf([["x-secret", "s3cret"]], fieldFlag.neverIndexed));
      expect(hop.decode(first, 0, first.length)).toBe(decoded.ok);
      const second = encode(two, hop.fields);
      expect((second[0] as number) >> 4).toBe(1);
      expect(last.decode(second, 0, second.length)).toBe(decoded.ok);
      expect(listOf(last.fields)).toEqual([["x-secret", "s3cret"]]);
    }
    expect([one.table.inserted, hop.table.inserted, two.table.inserted, last.table.inserted]).toEqual([0, 0, 0, 0]);
  });

  test("what repeats takes a byte, what changes leaves the table alone", () => {
    const encoder = new HpackEncoder();
    const stable: Field[] = [
      [":path", "/shop.Payments/Charge"],
      ["content-type", "application/grpc"],
    ];
    for (let call = 0; call < 3; call++) encode(encoder, blockOf([...stable, ["traceparent", `00-${call}`]]));
    const entries = encoder.table.inserted;
    const bytes = encode(encoder, blockOf([...stable, ["traceparent", "00-9"]]));
    expect(encoder.table.inserted).toBe(entries);
    expect(bytes.length).toBeLessThan(10);
    const ready = new PreparedField("ashlar-caller", "spiffe://m/service/a");
    const out = new Uint8Array(100);
    encoder.begin(out, 0);
    encoder.prepared(ready);
    const long = encoder.end();
    encoder.begin(out, 0);
    encoder.prepared(ready);
    expect(encoder.end()).toBe(1);
    expect(long).toBeGreaterThan(10);
  });

  test("a field larger than the peer's table leaves what the table has, and what refers to it, alone", () => {
    const [client, hop, encoder] = [new HpackEncoder(), new HpackDecoder(limits), new HpackEncoder()];
    const server = new HpackDecoder(limits);
    const caller = [new PreparedField("ashlar-caller", "spiffe://m/service/a")];
    const large = [new PreparedField("ashlar-caller", "spiffe://m/service/".padEnd(300, "b"))];
    const steady = [new PreparedField("user-agent", "me/1")];
    encoder.setTableMax(200);
    const send = (last: readonly PreparedField[], value: string): void => {
      const [bytes, out] = [new Uint8Array(1000), new Uint8Array(2000)];
      client.begin(bytes, 0);
      client.message(steady, blockOf([["x-a", value]], fieldFlag.neverIndexed), null);
      expect(hop.decode(bytes, 0, client.end())).toBe(decoded.ok);
      encoder.begin(out, 0);
      encoder.message(null, hop.fields, last);
      expect(server.decode(out, 0, encoder.end())).toBe(decoded.ok);
      const sent = Buffer.from(last[0]?.value ?? []).toString("latin1");
      expect(byName(listOf(server.fields))).toEqual([
        ["ashlar-caller", sent],
        ["user-agent", "me/1"],
        ["x-a", value],
      ]);
    };
    for (let call = 0; call < 6; call++) send(caller, `${call}`);
    const { count } = encoder.table;
    expect(count).toBe(2);
    for (let call = 0; call < 3; call++) send(large, `${call}`);
    expect(encoder.table.count).toBe(count);
    for (let call = 0; call < 3; call++) send(caller, `${call}`);
  });

  test("a value that Huffman makes longer takes no more room than it counts", () => {
    const [hop, encoder, server] = [new HpackDecoder(limits), new HpackEncoder(), new HpackDecoder(limits)];
    // 6,000 backslashes of 19 bits each.
    const value = "\\".repeat(6000);
    const coded = new Uint8Array(19_000);
    const length = encodeHuffman(Buffer.from(value), 0, value.length, coded, 0);
    const bytes = Buffer.concat([Buffer.from("000178", "hex"), stringHead(length), coded.subarray(0, length)]);
    expect(hop.decode(bytes, 0, bytes.length)).toBe(decoded.ok);
    const out = new Uint8Array(hop.fields.listBytes + 8);
    encoder.begin(out, 0);
    encoder.message(null, hop.fields, null);
    expect(encoder.end()).toBeLessThanOrEqual(out.length);
    expect(server.decode(out, 0, encoder.end())).toBe(decoded.ok);
    expect(listOf(server.fields)).toEqual([["x", value]]);
  });

  test("a field that comes with each call gets its entry, though the first one went out as a literal", () => {
    const [client, hop, encoder] = [new HpackEncoder(), new HpackDecoder(limits), new HpackEncoder()];
    const steady = [new PreparedField("user-agent", "me/1")];
    const lengths = [0, 1, 2, 3].map((call) => {
      const [bytes, out] = [new Uint8Array(1000), new Uint8Array(2000)];
      client.begin(bytes, 0);
      client.message(steady, blockOf([["x-a", `${call}`]], fieldFlag.neverIndexed), null);
      expect(hop.decode(bytes, 0, client.end())).toBe(decoded.ok);
      encoder.begin(out, 0);
      encoder.message(null, hop.fields, null);
      return encoder.end();
    });
    expect(encoder.table.count).toBe(1);
    expect(lengths[3]).toBeLessThan(lengths[0] ?? 0);
  });

  test("entries that are numbered anew are not taken for those that had the numbers", () => {
    const decoder = new HpackDecoder(limits);
    let values = 100;
    const insertForty = (): void => {
      const fields = Array.from({ length: 40 }, () => Buffer.from(`\u0040\u0001a\u0003${values++}`, "latin1"));
      expect(decoder.decode(Buffer.concat(fields), 0, 280)).toBe(decoded.ok);
    };
    for (let block = 0; block < 8; block++) insertForty();
    expect(decode(decoder, "be")).toEqual([["a", `${values - 1}`]]);
    const { inserted } = decoder.table;
    decoder.table.inserted += 2 ** 30;
    for (let block = 0; block < 4; block++) insertForty();
    const back = decoder.table.inserted - inserted;
    expect(back).toBeGreaterThan(0);
    expect(decode(decoder, (0x80 + 62 + back).toString(16))).toEqual([["a", `${values - 1 - back}`]]);
  });

  test("any bytes at all give a result and never throw", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (blocks) => {
        const decoder = new HpackDecoder(limits);
        for (const bytes of blocks) {
          const what = decoder.decode(bytes, 0, bytes.length);
          expect([0, 1, 2, 3]).toContain(what);
          expect(decoder.table.size).toBeLessThanOrEqual(4096);
          expect(decoder.fields.count).toBeLessThanOrEqual(128);
          listOf(decoder.fields);
        }
      }),
      { numRuns: runs(2000) },
    );
  });
});
