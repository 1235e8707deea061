import { cpus } from "node:os";
import { type DecisionRecord, renderDecisionId } from "../../core/decision/decision-record.js";
import { recordInputs } from "../../core/decision/record-inputs.js";
import { Replay } from "../../core/decision/replay.js";
import { buildSpiffeId, nameIn } from "../../core/identity.js";
import { type CompiledUnit, compileUnit } from "../../core/policy/compile.js";
import { unitsOf } from "../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import { encodeBatch, encodeDecision, parseBatch } from "../../core/wire/decisions.js";
import { numberFlag, readFlags } from "../options.js";
import { recordingCost } from "./recording.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:replay -- [--decisions 1000000] [--services 50]
How long recorded decisions take to be read and decided again, under a candidate and under their own revision;
and what recording adds to a call.`,
  example: "npm run bench:replay -- --decisions 100000",
});
const total = numberFlag(flags, "decisions", 1_000_000);
const services = numberFlag(flags, "services", 50);
const mesh = "bench";
const perBatch = 1000;
const methods = ["bench.Api/Get", "bench.Api/List", "bench.Api/Put", "bench.Api/Delete"];

/**
 * Returns the policy: the next three services may call each service, one of them on a condition. Each service has a
 * split and a rate limit.
 */
function policy(regions: string, weight: number, rate: number): string {
  return Array.from({ length: services }, (_, index) => {
    const caller = (step: number): string => `s${(index + step) % services}`;
    return `kind: Service
name: s${index}
methods: [${methods.join(", ")}]
---
kind: Authorization
name: a${index}
service: s${index}
allow:
  - from: [${caller(1)}, ${caller(2)}]
    methods: ["bench.Api/*"]
  - from: [${caller(3)}]
    methods: [bench.Api/Get]
    when: request.headers["x-region"] in [${regions}]
---
kind: Route
name: r${index}
service: s${index}
rules:
  - split: [{ version: v1, weight: ${100 - weight} }, { version: v2, weight: ${weight} }]
---
kind: RateLimit
name: l${index}
service: s${index}
limits: [{ per: [caller], rate: ${rate}/s }]
`;
  }).join("---\n");
}

function compile(text: string): ReadonlyMap<string, CompiledUnit> {
  const { objects, findings } = parsePolicyFiles([{ name: "policy.yaml", content: text }]);
  if (findings.length > 0) throw new Error(JSON.stringify(findings[0]));
  const units = unitsOf(objects.map(({ object }) => object));
  return new Map(units.map((unit) => [unit.name, compileUnit(unit, mesh)]));
}

const own = compile(policy('"eu"', 10, 100_000));
const candidate = compile(policy('"eu", "us"', 20, 200));

function record(index: number): DecisionRecord {
  const at = index % services;
  const service = `s${at}`;
  const unit = own.get(service) as CompiledUnit;
  const method = methods[(index >> 3) % methods.length] as string;
  const caller = buildSpiffeId(mesh, "service", `s${(at + 1 + (index % 4)) % services}`);
  const timeMs = 1_700_000_000_000 + index;
  const header = (name: string) => (name === "x-region" ? (index % 3 === 0 ? "us" : "eu") : undefined);
  const inputs = { header, sourceAddress: undefined, nowMs: timeMs, claims: undefined, destinationLabels: new Map() };
  const { allow, rule } = unit.evaluateCall(caller, method, inputs);
  const isOutbound = index % 2 === 1;
  const draw = (index % 997) / 997;
  return {
    id: renderDecisionId(timeMs, index, index),
    direction: isOutbound ? "outbound" : "inbound",
    service,
    caller,
    method,
    verdict: isOutbound ? "routed" : allow ? "allowed" : "denied",
    rule: isOutbound ? `r${at}/rules[0]` : rule,
    revision: 1,
    epoch: 1,
    timeMs,
    inputs: recordInputs(isOutbound ? new Set() : unit.readsOf(caller, method), inputs),
    routing: isOutbound ? { draw, available: ["v1", "v2"] } : undefined,
    version: isOutbound ? (draw * 100 < 90 ? "v1" : "v2") : "",
    limits: [],
    closed: false,
    shadow: false,
  };
}

const batches: {
  readonly bytes: Uint8Array;
  readonly writer: { readonly service: string; readonly proxyId: string };
}[] = [];
/** The recorded decisions by the service whose proxy recorded them. */
const pending = new Map<string, Uint8Array[]>();
function flush(service: string, records: readonly Uint8Array[]): void {
  const writer = { service, proxyId: "p0" };
  batches.push({ bytes: encodeBatch({ ...writer, share: 0.01, dropped: 0, counted: [] }, records), writer });
  pending.delete(service);
}
for (let index = 0; index < total; index++) {
  const decision = record(index);
  const owner = decision.direction === "inbound" ? decision.service : (nameIn(decision.caller, mesh, "service") ?? "");
  const records = pending.get(owner) ?? [];
  pending.set(owner, records);
  if (records.push(encodeDecision(decision)) === perBatch) flush(owner, records);
}
for (const [service, records] of pending) flush(service, records);
const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0);
const unitOf = (units: ReadonlyMap<string, CompiledUnit>) => (service: string) => units.get(service);
const replay = new Replay({ candidate: unitOf(candidate), own: () => unitOf(own) });
const started = performance.now();
const cpu = process.cpuUsage();
for (const { bytes, writer } of batches) replay.add(parseBatch(bytes, writer));
const result = replay.result();
const { user, system } = process.cpuUsage(cpu);
const seconds = (performance.now() - started) / 1000;
console.log(`${cpus().length} × ${cpus()[0]?.model ?? "?"}, node ${process.version}`);
console.log(
  `${total} decisions, ${Math.round(bytes / total)} bytes each: ${seconds.toFixed(1)} s, CPU ${((user + system) / 1e6).toFixed(1)} s`,
);
const { same, flipped, undecidable, reproduced, mismatched } = result;
console.log(JSON.stringify({ same, flipped, undecidable, reproduced, mismatched }));
for (const share of [0, 0.01, 1]) {
  const nanoseconds = recordingCost(own.get("s0") as CompiledUnit, mesh, share, share === 1 ? 200_000 : 2_000_000);
  console.log(`recording at share ${share}: ${nanoseconds.toFixed(0)} ns of CPU a call`);
}
if (mismatched > 0 || reproduced !== total || seconds > 30) process.exitCode = 1;
