/** What a connection remembers of its blocks changes nothing: each is judged, kept and sent on as if it were the first. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { fieldFlag } from "../../../data-plane/http2/field-classes.js";
import { decoded, HpackDecoder } from "../../../data-plane/http2/hpack-decoder.js";
import { HpackEncoder } from "../../../data-plane/http2/hpack-encoder.js";
import { defaultLimits } from "../../../data-plane/http2/limits.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { FieldCheck } from "../../../data-plane/http2/validate-fields.js";
import { FieldChanges } from "../../../data-plane/proxy/forward/field-changes.js";
import { KeptFields } from "../../../data-plane/proxy/forward/kept-fields.js";
import { RequestHead } from "../../../data-plane/proxy/request-head.js";
import { dropReservedFields } from "../../../data-plane/proxy/reserved-fields.js";
import { runs } from "../../support/runs.js";

type Field = readonly [name: string, value: string];

const rules = defaultLimits.requestRules;
const last = [new PreparedField("ashlar-caller", "spiffe://test/service/shop")];

/** A client that puts into its table what it likes, or says that nobody may. */
class Client {
  readonly encoder = new HpackEncoder();

  encode(fields: readonly (readonly [name: string, value: string, how: "indexed" | "literal" | "never"])[]) {
    const out = new Uint8Array(8192);
    this.encoder.begin(out, 0);
    for (const [name, value, how] of fields) {
      if (how === "indexed") this.encoder.message([new PreparedField(name, value)], null, null);
      else {
        const block = new FieldBlock();
        block.add(name, value, how === "never" ? fieldFlag.neverIndexed : 0);
        this.encoder.message(null, block, null);
      }
    }
    return out.slice(0, this.encoder.end());
  }
}

function listOf(fields: FieldBlock): Field[] {
  const list: Field[] = [];
  for (let field = 0; field < fields.count; field++)
    if (!fields.isDropped(field)) list.push([fields.nameText(field), fields.valueText(field)]);
  return list;
}

/** Only the order of fields with the same name means something. */
function byName(fields: readonly Field[]): readonly Field[] {
  return [...fields].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

const changes = new FieldChanges(["x-b", "user-agent", "ashlar-epoch", ":path"], []);

/** All that a proxy makes of a request's block. */
function judge(fields: FieldBlock, check: FieldCheck, head: RequestHead) {
  const refused = check.request(fields, rules);
  if (refused !== 0) return { refused };
  const about = { grpc: check.grpc, length: check.contentLength, obsText: check.obsText };
  const isGood = head.read(fields);
  if (!isGood) return { ...about, isGood };
  const { timeoutMs, epoch, traceparent, te, labels, calledMethod } = head;
  const places = [traceparent, te, labels, calledMethod].map((place) => (place < 0 ? "" : fields.valueText(place)));
  const authority = head.authorityText(fields);
  if (head.authority >= 0) fields.drop(head.authority);
  if (traceparent < 0) fields.add("traceparent", "made here");
  const kept = KeptFields.of(fields);
  const headers = ["x-a", "x-b", "te", "grpc-timeout", "traceparent", "user-agent"].map((name) => kept.header(name));
  const restored = listOf(kept.restore());
  changes.drop(fields);
  return { ...about, isGood, timeoutMs, epoch, places, authority, headers, restored, sent: byName(listOf(fields)) };
}

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
type How = "indexed" | "literal" | "never";
interface Kind {
  readonly name: string;
  /** The first one is usual. */
  readonly values: readonly string[];
  readonly how: How;
}
const one = (name: string, ...values: string[]) =>
  fc.constantFrom<How>("indexed", "literal", "never").map((how): Kind => ({ name, values, how }));
const first = fc.tuple(
  one(":method", "POST", "GET"),
  one(":scheme", "http", "https"),
  one(":path", "/a.B/C", "/a.B/D", "/bad"),
  one(":authority", "shop", "cart", "shop.", "SHOP:1"),
  one("content-type", "application/grpc", "text/html"),
);
const more = fc.oneof(
  { weight: 4, arbitrary: one("grpc-timeout", "1S", "20m", "999999u", "x") },
  { weight: 4, arbitrary: one("traceparent", trace, trace.replace("4b", "5c"), "bad", `${trace.slice(0, -1)}é`) },
  one("tracestate", "a=b"),
  one("te", "trailers", "trailers", "gzip"),
  one("user-agent", "me/1", "me/2"),
  one("x-a", "1", "2", "3", "4"),
  one("x-b", "1", "2", "é", "\u0001", " x"),
  one("content-length", "0", "5", "x"),
  one("x-forwarded-for", "1.2.3.4", "5.6.7.8"),
  one("ashlar-caller", "spiffe://test/service/other", "me"),
  one("ashlar-epoch", "7", "8", "x"),
  one("ashlar-labels", "a=b", "a=c"),
  one("ashlar-called-method", "shop.v1.Payments/Charge", "shop.v1.Payments/Refund"),
  one("host", "shop"),
  one("grpc-encoding", "gzip", "identity"),
);
const kind = fc.tuple(first, fc.array(more, { maxLength: 5 })).map(([start, rest]) => [...start, ...rest]);

/** A few kinds of requests, each many times; one value in four is not the usual one. */
const requests = fc
  .tuple(fc.array(kind, { minLength: 1, maxLength: 3 }), fc.array(fc.nat(), { minLength: 10, maxLength: 40 }))
  .map(([kinds, draws]) =>
    draws.map((draw) => {
      let left = draw;
      const next = (count: number): number => {
        left = (Math.imul(left, 1_103_515_245) + 12_345) & 0x7fffffff;
        return (left >>> 8) % count;
      };
      const fields = kinds[next(kinds.length)] ?? [];
      const other = next(2 * fields.length);
      return fields.map(({ name, values, how }, place) => {
        const value = values[place === other || isFree(name) ? next(values.length) : 0] ?? "";
        return [name, value, how] as const;
      });
    }),
  );

/** Another in each request. */
function isFree(name: string): boolean {
  return ["grpc-timeout", "traceparent", "x-a", "x-forwarded-for", "ashlar-caller", "ashlar-epoch"].includes(name);
}

describe("a connection's requests", () => {
  test("are judged, kept and sent on as if each were the first", () => {
    fc.assert(
      fc.property(requests, (all) => {
        const client = new Client();
        const decoder = new HpackDecoder({ headerFieldsMax: 128, headerListBytesMax: 16_384 });
        const upstream = new HpackEncoder();
        const server = new HpackDecoder({ headerFieldsMax: 128, headerListBytesMax: 16_384 });
        const [check, head] = [new FieldCheck(), new RequestHead()];
        for (const fields of all) {
          const bytes = client.encode(fields);
          expect(decoder.decode(bytes, 0, bytes.length)).toBe(decoded.ok);
          const fresh = new FieldBlock();
          for (const [name, value] of fields) fresh.add(name, value.trim());
          const seen = judge(decoder.fields, check, head);
          const expected = judge(fresh, new FieldCheck(), new RequestHead());
          expect(seen).toEqual(expected);
          if (!("sent" in expected)) continue;
          const out = new Uint8Array(8192);
          upstream.begin(out, 0);
          upstream.message(null, decoder.fields, last);
          expect(server.decode(out, 0, upstream.end())).toBe(decoded.ok);
          expect(byName(listOf(server.fields))).toEqual(
            byName([...(expected.sent ?? []), ["ashlar-caller", "spiffe://test/service/shop"]]),
          );
        }
      }),
      { numRuns: runs(40) },
    );
  });

  test("keep what only proxies may say away, also where its value is another each time", () => {
    const client = new Client();
    const decoder = new HpackDecoder({ headerFieldsMax: 128, headerListBytesMax: 16_384 });
    for (let call = 0; call < 5; call++) {
      const bytes = client.encode([
        [":status", "200", "indexed"],
        ["content-type", "application/grpc", "indexed"],
        ["ashlar-epoch", String(call), "literal"],
        ["ashlar_caller", `c${call}`, "never"],
        ["ashlar-revision", "5", "indexed"],
      ]);
      expect(decoder.decode(bytes, 0, bytes.length)).toBe(decoded.ok);
      expect(new FieldCheck().response(decoder.fields)).toBe(0);
      const fromPeer = call % 2 === 0;
      dropReservedFields(decoder.fields, fromPeer);
      const names = listOf(decoder.fields).map(([name]) => name);
      expect(names).toEqual([":status", "content-type", ...(fromPeer ? ["ashlar-revision"] : [])]);
    }
  });

  test("a block that ends as one that is known and begins with another name is not taken for it", () => {
    const decoder = new HpackDecoder({ headerFieldsMax: 128, headerListBytesMax: 16_384 });
    const literal = (name: string) => Buffer.concat([Buffer.of(0, name.length), Buffer.from(`${name}\u00011`)]);
    const seen = (name: string, index: number): readonly string[] => {
      const bytes = Buffer.concat([literal(name), Buffer.of(0x80 | index)]);
      expect(decoder.decode(bytes, 0, bytes.length)).toBe(decoded.ok);
      dropReservedFields(decoder.fields, false);
      return listOf(decoder.fields).map(([key]) => key);
    };
    for (let round = 0; round < 3; round++) {
      expect(seen("x-harmless", 16)).toEqual(["x-harmless", "accept-encoding"]);
      expect(seen("ashlar-new", 14)).toEqual([":status"]);
      expect(seen("ashlar-new", 16)).toEqual(["accept-encoding"]);
      expect(seen("x-harmless", 14)).toEqual(["x-harmless", ":status"]);
      expect(seen("ashlar-new", 14)).toEqual([":status"]);
    }
  });
});
