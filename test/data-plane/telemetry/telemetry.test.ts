/** Traces and the access log of two proxies on real sockets, with real receivers. */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { Telemetry } from "../../../core/kinds/telemetry/telemetry.js";
import { createMetrics, type Metrics } from "../../../data-plane/status/metrics.js";
import { type OpenedTelemetry, openTelemetry } from "../../../data-plane/telemetry/open-telemetry.js";
import { systemClock } from "../../../runtime/clock.js";
import { silentLogger } from "../../../runtime/log.js";
import { type Receiver, startGrpcReceiver, startHttpReceiver } from "../../support/otlp-receiver.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair, type TestSide } from "../../support/proxy-pair.js";
import { until } from "../../support/until.js";

type Parts = Omit<Telemetry, "kind" | "name" | "service">;

const all = { share: 10_000, byMethod: [] };
const log = { ...all, refused: "all" as const, headers: ["x-user", "authorization"], redact: ["x-secret"] };
let pair: ProxyPair;
let seen: Metadata | undefined;
let receivers: Receiver[] = [];
let opened: OpenedTelemetry[] = [];

beforeEach(async () => {
  pair = await ProxyPair.start({
    Unary: (call, done) => {
      seen = call.metadata;
      done(null, call.request);
    },
  });
});

afterEach(async () => {
  pair.stop();
  await Promise.all(opened.map((one) => one.close()));
  for (const receiver of receivers) receiver.stop();
  receivers = [];
  opened = [];
});

function policy(telemetry: Parts, allow = [everyone]): void {
  for (const side of [pair.caller, pair.callee])
    side.policy.switchTo(buildPolicy(7, [{ service: "bytes", allow, telemetry }]));
}

function attach(side: TestSide, otlp: string | undefined, file = "access.log"): Metrics {
  const metrics = createMetrics();
  const { policy, identity } = side;
  const random = { draw: Math.random, random: randomBytes };
  const telemetry = openTelemetry(
    { policy, identity, clock: systemClock, log: silentLogger, ...random, metrics },
    { otlp, accessLog: join(pair.dir, file) },
  );
  opened.push(telemetry);
  side.watch = telemetry.watch;
  return metrics;
}

async function receiver(make: () => Promise<Receiver>): Promise<Receiver> {
  const started = await make();
  receivers.push(started);
  return started;
}

const headers = (fields: Readonly<Record<string, string>> = {}): Metadata => {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  return metadata;
};
const linesIn = (file: string): Record<string, unknown>[] => {
  const path = join(pair.dir, file);
  if (!existsSync(path)) return [];
  const text = readFileSync(path, "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
};

const parent = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
const traceparent = (flags: string): string => `00-${parent.traceId}-${parent.spanId}-${flags}`;

test.each([
  ["gRPC", startGrpcReceiver],
  ["HTTP", () => startHttpReceiver()],
])(
  "spans of both sides are of one trace and reach a receiver over %s",
  async (_way, start) => {
    const { url, spans } = await receiver(start);
    policy({ traces: all });
    attach(pair.caller, url);
    attach(pair.callee, url);
    await pair.client().unary(Buffer.from("hello"), headers({ tracestate: "vendor=1" }));
    await eventually("both spans are there", () => spans.length === 2, 20_000);
    const [client, server] = [3, 2].map((kind) => spans.find((span) => span.kind === kind));
    expect(client).toMatchObject({ parentId: "", code: 0, events: ["attempt"] });
    expect(server).toMatchObject({ traceId: client?.traceId, parentId: client?.spanId, code: 0 });
    expect(String(seen?.get("traceparent"))).toBe(`00-${client?.traceId}-${server?.spanId}-01`);
    expect(server?.attributes).toMatchObject({
      "rpc.system": "grpc",
      "rpc.grpc.status_code": 0,
      "ashlar.service": "bytes",
      "ashlar.revision": 7,
      "ashlar.attempts": 1,
      "ashlar.decision": expect.stringMatching(/^[0-9a-f]{24}$/),
    });
    expect(`${server?.attributes["rpc.service"]}/${server?.attributes["rpc.method"]}`).toBe(server?.name);
    expect(server?.resource).toMatchObject({ "service.name": "bytes", "service.version": "v1" });
    expect(server !== undefined && server.tookNs >= 0n).toBe(true);
  },
  60_000,
);

test("a parent decides, whatever the share says, and its state is passed on", async () => {
  const { url, spans } = await receiver(startHttpReceiver);
  policy({ traces: { share: 0, byMethod: [] } });
  attach(pair.callee, url);
  const client = pair.client();
  await client.unary(Buffer.from("1"), headers({ traceparent: traceparent("00") }));
  expect(String(seen?.get("traceparent"))).toBe(traceparent("00"));
  await client.unary(Buffer.from("2"), headers({ traceparent: traceparent("01"), tracestate: "a=b" }));
  await eventually("the sampled one is there", () => spans.length > 0, 20_000);
  expect(spans).toMatchObject([{ traceId: parent.traceId, parentId: parent.spanId, state: "a=b" }]);
  expect(String(seen?.get("tracestate"))).toBe("a=b");
  expect(String(seen?.get("traceparent"))).toBe(`00-${parent.traceId}-${spans[0]?.spanId}-01`);
}, 60_000);

test("a refusal is traced and logged though no share is asked for", async () => {
  const { url, spans } = await receiver(startHttpReceiver);
  policy({ accessLog: { ...log, share: 0 } }, []);
  const metrics = attach(pair.callee, url);
  const { error } = await pair.client().unary(Buffer.from("no"), headers({ traceparent: traceparent("00") }));
  expect(error?.code).toBe(7);
  await eventually("its span is there", () => spans.length === 1, 20_000);
  expect(spans[0]).toMatchObject({ traceId: parent.traceId, parentId: parent.spanId });
  expect(spans[0]?.attributes).toMatchObject({ "ashlar.reason": "denied", "rpc.grpc.status_code": 7 });
  await eventually("its line is there", () => linesIn("access.log").length === 1);
  expect(linesIn("access.log")[0]).toMatchObject({
    direction: "inbound",
    caller: "shop",
    service: "bytes",
    code: "PERMISSION_DENIED",
    reason: "denied",
    decision: spans[0]?.attributes["ashlar.decision"],
    traceId: parent.traceId,
    attempts: 0,
  });
  expect((await metrics.render()).join("")).toContain('ashlar_access_log_lines_total{outcome="written"} 1\n');
}, 60_000);

test("lines show the headers that policy names, and of credentials only that they were there", async () => {
  policy({ accessLog: log });
  attach(pair.callee, undefined);
  const fields = { "x-user": "7", "x-other": "no", "x-secret": "hidden", authorization: "Bearer hidden" };
  await pair.client().unary(Buffer.from("hello"), headers(fields));
  await eventually("its line is there", () => linesIn("access.log").length === 1);
  const [line] = linesIn("access.log");
  expect(line).toMatchObject({
    code: "OK",
    attempts: 1,
    requestBytes: 10,
    responseBytes: 10,
    headers: { "x-user": "7", "x-secret": "[redacted]", authorization: "[redacted]" },
  });
  expect(JSON.stringify(line)).not.toMatch(/hidden|x-other/);
}, 60_000);

test.each([["hang"], ["refuse"]] as const)(
  "a receiver that would %s costs no call, and is counted",
  async (how) => {
    const { url } = await receiver(() => startHttpReceiver(how));
    policy({ traces: all });
    const metrics = attach(pair.caller, url);
    const client = pair.client();
    for (let index = 0; index < 20; index++) {
      const { error } = await client.unary(Buffer.from("hello"), headers());
      expect(error).toBeUndefined();
    }
    await until("its spans are counted as failed", async () =>
      (await metrics.render()).join("").includes('ashlar_spans_total{outcome="failed"} 20\n'),
    );
  },
  60_000,
);

test("without a policy nothing is traced or logged, and calls get an unsampled trace", async () => {
  policy({});
  attach(pair.caller, undefined);
  attach(pair.callee, undefined);
  await pair.client().unary(Buffer.from("hello"), headers());
  expect(String(seen?.get("traceparent"))).toMatch(/-00$/);
  expect(linesIn("access.log")).toEqual([]);
}, 60_000);
