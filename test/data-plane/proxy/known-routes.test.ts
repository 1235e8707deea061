/** What a connection remembers of its requests' routes changes no route. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseSpiffeId } from "../../../core/identity.js";
import type { HeaderMatch } from "../../../core/model.js";
import { type CompiledUnit, compileUnit } from "../../../core/policy/compile.js";
import { unitsOf } from "../../../core/snapshot/build.js";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { fieldFlag } from "../../../data-plane/http2/field-classes.js";
import { decoded, HpackDecoder } from "../../../data-plane/http2/hpack-decoder.js";
import { HpackEncoder } from "../../../data-plane/http2/hpack-encoder.js";
import { defaultLimits } from "../../../data-plane/http2/limits.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { FieldCheck } from "../../../data-plane/http2/validate-fields.js";
import { CallRoutes } from "../../../data-plane/proxy/call-routes.js";
import { KnownBlock } from "../../../data-plane/proxy/forward/known-block.js";
import { RequestHead } from "../../../data-plane/proxy/request-head.js";
import { runs } from "../../support/runs.js";

const self = parseSpiffeId("spiffe://test/service/cart");
const limits = { headerFieldsMax: 128, headerListBytesMax: 16_384 };
const exact: HeaderMatch = { name: "x-a", value: "1" };
const header = (name: string, by: NonNullable<HeaderMatch["by"]>, value = ""): HeaderMatch => ({ name, by, value });

/** A route with a rule for calls with this header, and another for the rest. */
function routeBy(tested: HeaderMatch, sticky: string): CompiledUnit {
  const split = [{ version: "v1", weight: 1 }];
  const rules = [
    { match: { methods: [], headers: [tested] }, split, timeoutMs: 1, sticky: { header: sticky } },
    { split, timeoutMs: 2, sticky: { header: "x-b" } },
  ];
  const unit = unitsOf([
    { kind: "Service", name: "shop", methods: [] },
    { kind: "Route", name: "shop", service: "shop", rules },
  ]).find(({ name }) => name === "shop");
  if (unit === undefined) throw new Error("no unit");
  return compileUnit(unit, "test");
}

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const units = [
  routeBy(exact, "traceparent"),
  routeBy(header("user-agent", "prefix", "me/1"), "x-a"),
  routeBy(header("x-b", "absent"), "x-a"),
  routeBy(header("traceparent", "prefix", trace.slice(0, 5)), "x-a"),
  routeBy(header("tracestate", "present"), "user-agent"),
];
/** The first request of each kind is sent often. Fields that begin with "=" are indexed. */
const kinds: readonly (readonly (readonly [name: string, values: readonly string[]])[])[] = [
  [
    ["traceparent", [trace, trace.replace("4b", "5c"), "bad"]],
    ["=user-agent", ["me/1"]],
    ["x-a", ["1", "2", "3"]],
  ],
  [
    ["=user-agent", ["me/2"]],
    ["=tracestate", ["a=b"]],
    ["traceparent", [trace, "bad"]],
    ["x-b", ["1", "2"]],
  ],
  [
    ["x-a", ["1", "2"]],
    ["x-a", ["3", "4"]],
    ["traceparent", [trace]],
    ["=x-b", ["1"]],
  ],
  [
    ["x-b", ["1", "2"]],
    ["=x-a", ["1"]],
  ],
  [
    ["=x-a", ["1"]],
    ["=x-a", ["2"]],
    ["=user-agent", ["me/1"]],
    ["traceparent", [trace]],
  ],
];

const head = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a.B/C"],
  [":authority", "shop"],
  ["content-type", "application/grpc"],
].map(([name = "", value = ""]) => new PreparedField(name, value));

function encode(encoder: HpackEncoder, fields: readonly (readonly [string, string])[]): Uint8Array {
  const out = new Uint8Array(8192);
  encoder.begin(out, 0);
  encoder.message(head, null, null);
  for (const [name, value] of fields) {
    if (name.startsWith("=")) encoder.message([new PreparedField(name.slice(1), value)], null, null);
    else {
      const block = new FieldBlock();
      block.add(name, value, fieldFlag.neverIndexed);
      encoder.message(null, block, null);
    }
  }
  return out.slice(0, encoder.end());
}

/** Reads a request as a proxy does and returns its rule, and what its split is chosen by. */
function routed(fields: FieldBlock, request: RequestHead, unit: CompiledUnit, made: string) {
  expect(new FieldCheck().request(fields, defaultLimits.requestRules)).toBe(0);
  expect(request.read(fields)).toBe(true);
  if (request.traceparent < 0) fields.add("traceparent", made);
  const call = { method: "a.B/C", rule: undefined, versionDraw: 0, stickyKey: undefined };
  const routes = new CallRoutes(self, () => 0.5);
  routes.read(fields);
  return { rule: routes.find(call, unit)?.name, key: call.stickyKey };
}

const draw = fc.nat(1_000_000);
const requests = fc.array(fc.record({ kind: fc.nat(kinds.length - 1), unit: fc.nat(units.length - 1), draw }), {
  minLength: 2,
  maxLength: 6,
});

test("for requests of a few kinds, many of each, under policies that change", () => {
  let known = 0;
  fc.assert(
    fc.property(requests, (all) => {
      const [encoder, decoder, request] = [new HpackEncoder(), new HpackDecoder(limits), new RequestHead()];
      for (const one of all) {
        const unit = units[one.unit] as CompiledUnit;
        for (let again = 0; again < 12; again++) {
          let left = one.draw + again;
          const fields = (kinds[one.kind] ?? []).map(([name, values]) => {
            left = (Math.imul(left, 1_103_515_245) + 12_345) & 0x7fffffff;
            return [name, values[(left >>> 8) % values.length] ?? ""] as const;
          });
          const bytes = encode(encoder, fields);
          expect(decoder.decode(bytes, 0, bytes.length)).toBe(decoded.ok);
          const fresh = new FieldBlock();
          for (const { name, value } of head) fresh.add(Buffer.from(name).toString(), Buffer.from(value).toString());
          for (const [name, value] of fields) fresh.add(name.replace("=", ""), value);
          const made = again % 2 === 0 ? trace : "made here";
          const seen = routed(decoder.fields, request, unit, made);
          expect(seen).toEqual(routed(fresh, new RequestHead(), unit, made));
          const memo = decoder.fields.profile?.memo;
          if (memo instanceof KnownBlock && memo.route?.unit === unit) known++;
        }
      }
    }),
    { numRuns: runs(40) },
  );
  expect(known).toBeGreaterThan(runs(40));
});
