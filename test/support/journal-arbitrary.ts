/** Random journals in canonical form. */
import fc from "fast-check";
import type { Journal } from "../../core/kinds/journal/journal.js";
import { testHolder } from "./holder.js";

const maybe = <Value>(of: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> => fc.option(of, { nil: undefined });
const expression = fc.constantFrom(
  'request.headers["idempotency-key"]',
  "jwt.claims.sub",
  'request.method + ":" + caller.service',
);
const size = fc.integer({ min: 1024, max: 384 * 1024 });

export const journal = (service: string): fc.Arbitrary<Journal> =>
  fc
    .record({
      kind: fc.constant("Journal" as const),
      name: fc.constant(service),
      service: fc.constant(service),
      methods: maybe(fc.constantFrom(["shop.Store/Put"], ["*"], ["shop.Store/Drop", "shop.Store/Put"])),
      mode: fc.constantFrom("before" as const, "after" as const),
      idempotencyKey: maybe(expression),
      orderBy: maybe(expression),
      rememberKeysMs: maybe(fc.integer({ min: 60_000, max: 604_800_000 })),
      response: fc.constantFrom("bytes" as const, "digest" as const),
      requestBytesMax: maybe(size),
      responseBytesMax: maybe(size),
      streamBytesMax: maybe(fc.integer({ min: 1024, max: 3 * 1024 * 1024 })),
      bidirectional: maybe(fc.constantFrom(["shop.Store/Sync"], ["shop.Store/Put", "shop.Store/Sync"])),
      reads: maybe(
        fc.constantFrom(
          { version: "v2", waitMs: 1000 },
          { version: "", waitMs: 1000, way: "direct" as const },
          { version: "", labels: [{ key: "role", value: "replica" }], waitMs: 20 },
        ),
      ),
      private: maybe(
        fc.constantFrom(
          { subject: "jwt.claims.sub", holder: testHolder.publicKey, fields: ["shop.Store/Put request.2"] },
          { subject: "jwt.claims.sub", fields: ["shop.Store/Put request.2"] },
          { subjects: ["shop.Store/Put request.1 int64"], fields: ["shop.Store/Put request.2"] },
          {
            ...{ subjects: ["shop.Store/Put request.1"], fields: ["shop.Store/Put request.2"] },
            undescribed: ["shop.Store/Drop", "shop.Store/Take"],
          },
          {
            subject: 'request.headers["x-account"]',
            holder: testHolder.publicKey,
            fields: ["shop.Store/Drop response.1.2", "shop.Store/Put request.14", "shop.Store/Put request.2"],
          },
        ),
      ),
      replayers: maybe(fc.constantFrom(["ada"], ["ada", "night-shift"])),
      readers: maybe(fc.constantFrom(["cart"], ["cart", "spiffe://demo/service/checkout"])),
    })
    .map((fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Journal);
