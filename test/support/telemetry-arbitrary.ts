/** Random Telemetry objects in canonical form. */
import fc from "fast-check";
import type { MethodShare, Telemetry } from "../../core/kinds/telemetry/telemetry.js";

const some = (items: readonly string[], minLength = 0) =>
  fc.uniqueArray(fc.constantFrom(...items), { minLength, maxLength: 3 }).map((all) => [...all].sort());
const share = fc.constantFrom(0, 1, 100, 5050, 10_000);
const byMethod: fc.Arbitrary<readonly MethodShare[]> = fc.array(
  fc.record({ methods: some(["*", "shop.Payments/*", "shop.Payments/Charge"], 1), share }),
  { maxLength: 3 },
);
const headers = some(["authorization", "x-user", "x-tenant"]);
const accessLog = fc.record({
  share,
  byMethod,
  refused: fc.constantFrom("all" as const, "none" as const),
  headers,
  redact: headers,
});

/** Generates Telemetry. `service`: undefined for the whole mesh. */
export function telemetry(service: string | undefined): fc.Arbitrary<Telemetry> {
  return fc
    .record({
      traces: fc.option(fc.record({ share, byMethod, clients: fc.constantFrom(undefined, "mark" as const) })),
      accessLog: fc.option(accessLog),
    })
    .map(({ traces, accessLog: log }) => ({
      kind: "Telemetry" as const,
      name: service ?? "mesh",
      ...(service === undefined ? {} : { service }),
      ...(traces === null ? {} : { traces }),
      ...(log === null ? {} : { accessLog: log }),
    }));
}
