/** At a gateway a client outside decides about traces only where policy says so, and within a bound. */
import { beforeEach, expect, test } from "@jest/globals";
import { compileTelemetry } from "../../../core/policy/compiled-telemetry.js";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { fieldName } from "../../../data-plane/http2/field-names.js";
import type { EvaluatedPolicy } from "../../../data-plane/ports.js";
import type { Call } from "../../../data-plane/proxy/forward/call.js";
import { CallTelemetry, type CallTelemetryDeps } from "../../../data-plane/telemetry/call-telemetry.js";
import { ManualClock } from "../../support/manual-clock.js";

const trace = "0af7651916cd43dd8448eb211c80319c";
const span = "b7ad6b7169203331";
let draw: number;
let clock: ManualClock;
beforeEach(() => {
  draw = 0.5;
  clock = new ManualClock();
});

function open(clients: "mark" | undefined): CallTelemetry {
  const compiled = compileTelemetry({
    kind: "Telemetry",
    name: "t",
    service: "shop",
    traces: { share: 1000, byMethod: [], clients },
    accessLog: undefined,
  });
  const policy = { telemetry: () => compiled, unit: () => ({}) } as unknown as EvaluatedPolicy;
  const deps = { policy: { current: policy }, clock, draw: () => draw, random: (n: number) => Buffer.alloc(n, 7) };
  return new CallTelemetry({ ...deps, spans: undefined } as unknown as CallTelemetryDeps);
}

/** What becomes of the traceparent of a call. */
function passed(telemetry: CallTelemetry, isFromClient: boolean, flags: string): string {
  const fields = new FieldBlock();
  fields.add("traceparent", `00-${trace}-${span}-${flags}`);
  const call = { service: "shop", method: "a.B/C", isFromClient, observe() {} } as unknown as Call;
  telemetry.begun(call, fields, fields.find(fieldName.traceparent));
  return fields.valueText(fields.find(fieldName.traceparent));
}

test("a client's mark is taken off where its call is not drawn; the trace goes on", () => {
  expect(passed(open(undefined), true, "01")).toBe(`00-${trace}-${span}-00`);
  expect(passed(open(undefined), true, "00")).toBe(`00-${trace}-${span}-00`);
});

test("the share decides for clients, marked or not", () => {
  draw = 0.05;
  const drawn = new RegExp(`^00-${trace}-(?!${span})[0-9a-f]{16}-01$`);
  expect(passed(open(undefined), true, "01")).toMatch(drawn);
  expect(passed(open(undefined), true, "00")).toMatch(drawn);
});

test("where policy takes marks they count, a hundred times a second", () => {
  const telemetry = open("mark");
  const flags = (): string => passed(telemetry, true, "01").slice(-2);
  const first = Array.from({ length: 150 }, flags);
  expect(first.filter((one) => one === "01")).toHaveLength(100);
  expect(passed(telemetry, true, "00")).toBe(`00-${trace}-${span}-00`);
});

test("inside the mesh a parent decides as before", () => {
  expect(passed(open(undefined), false, "01")).toBe(`00-${trace}-${span}-01`);
  draw = 0.05;
  expect(passed(open(undefined), false, "00")).toBe(`00-${trace}-${span}-00`);
});
