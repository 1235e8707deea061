import { expect, test } from "@jest/globals";
import type { Telemetry } from "../../../core/kinds/telemetry/telemetry.js";
import { compileTelemetry, noTelemetry, telemetryWith } from "../../../core/policy/compiled-telemetry.js";

const of = (parts: Partial<Telemetry>) => compileTelemetry({ kind: "Telemetry", name: "t", ...parts });
const traces = {
  share: 100,
  byMethod: [
    { methods: ["shop.Payments/Charge"], share: 10_000 },
    { methods: ["shop.Payments/*"], share: 50 },
  ],
};
const log = { share: 0, byMethod: [], refused: "all" as const, headers: [], redact: [] };

test.each([
  ["shop.Payments/Charge", 1],
  ["shop.Payments/Refund", 0.005],
  ["shop.PaymentsV2/Charge", 0.01],
])("the first entry that names the method says its share: %s", (method, share) => {
  expect(of({ traces }).traces?.shareOf(method)).toBe(share);
});

test("what a service leaves out the mesh says, part by part", () => {
  const mesh = of({ traces: { share: 5000, byMethod: [] }, accessLog: log });
  const own = of({ traces });
  expect(telemetryWith(own, mesh).traces).toBe(own.traces);
  expect(telemetryWith(own, mesh).accessLog).toBe(mesh.accessLog);
  expect(telemetryWith(noTelemetry, mesh)).toBe(mesh);
  expect(telemetryWith(own, noTelemetry)).toBe(own);
});

test("an object that says nothing is as none", () => {
  expect(of({})).toBe(noTelemetry);
  expect(compileTelemetry(undefined)).toBe(noTelemetry);
});

test("values of credentials are never shown, and what is redacted is not shown otherwise", () => {
  const { headers, redact } = of({
    accessLog: { ...log, headers: ["authorization", "x-user", "x-key"], redact: ["x-key"] },
  }).accessLog ?? { headers: [], redact: [] };
  expect(headers).toEqual(["x-user"]);
  expect(redact).toEqual(["x-key", "authorization"]);
});
