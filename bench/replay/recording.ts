/** Measures what recording adds to a call, besides everything else that a proxy does for the call. */
import { randomBytes } from "node:crypto";
import { digestOf } from "../../core/digest.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { CompiledUnit } from "../../core/policy/compile.js";
import { noTelemetry } from "../../core/policy/compiled-telemetry.js";
import type { EvaluatedPolicy } from "../../data-plane/ports.js";
import { CallRecorder } from "../../data-plane/proxy/call-recorder.js";
import { systemClock } from "../../runtime/clock.js";

/** Returns the nanoseconds of CPU that recording adds to an allowed call at this share. */
export function recordingCost(unit: CompiledUnit, mesh: string, share: number, calls: number): number {
  const policy: EvaluatedPolicy = {
    epoch: 1,
    revision: 1,
    revisionDigest: digestOf(Buffer.from("1")),
    unit: () => unit,
    has: () => true,
    telemetry: () => noTelemetry,
    issuers: [],
  };
  const caller = buildSpiffeId(mesh, "service", "s1");
  const header = (name: string) => (name === "x-region" ? "eu" : undefined);
  const inputs = { header, sourceAddress: undefined, nowMs: 1, claims: undefined, destinationLabels: new Map() };
  const call = { caller, method: "bench.Api/Get", inputs, isMirrored: false };
  const sink = { offer: () => true, offerCounts: () => {} };
  const recorder = new CallRecorder({ sink, random: randomBytes, clock: systemClock }, caller, share);
  const run = (count: number): void => {
    for (let index = 0; index < count; index++) recorder.allowed(call, unit.name, policy);
  };
  run(calls / 10); // warms up
  const before = process.cpuUsage();
  run(calls);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / calls;
}
