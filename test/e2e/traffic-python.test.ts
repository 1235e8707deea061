/** What docs/policy-route.md and docs/policy-resilience.md promise, seen by a caller and applications on gRPC's C core. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { repository, run } from "../support/processes.js";

const python = "/usr/bin/python3";
const script = join(repository, "test/e2e/traffic_peer.py");
const policy = `kind: Service
name: front
---
kind: Service
name: orders
idempotent: [shop.Orders/Retried, shop.Orders/Hedged]
---
kind: Service
name: frail
---
kind: Authorization
name: orders
service: orders
allow: [{ from: [front], methods: ["shop.Orders/*"] }]
---
kind: Authorization
name: frail
service: frail
allow: [{ from: [front], methods: ["shop.Orders/*"] }]
---
kind: Route
name: orders
service: orders
rules:
  - match: { headers: { x-fault: abort } }
    fault: { abort: { code: RESOURCE_EXHAUSTED, percent: 100 } }
  - match: { headers: { x-fault: delay } }
    fault: { delay: { time: 1m, percent: 100 } }
  - match: { methods: [shop.Orders/Retried] }
    retry: { attempts: 3, on: [UNAVAILABLE], backoff: 1ms }
  - match: { methods: [shop.Orders/Hedged] }
    hedge: { attempts: 2, delay: 20ms }
  - match: { methods: [shop.Orders/Mirrored] }
    split: [{ version: v1, weight: 1 }]
    mirror: { version: v2, percent: 100 }
  - match: { methods: [shop.Orders/Copies] }
    split: [{ version: v2, weight: 1 }]
  - match: { methods: [shop.Orders/Split] }
    split: [{ version: v1, weight: 50 }, { version: v2, weight: 50 }]
    sticky: { header: x-user }
---
kind: Resilience
name: frail
service: frail
outliers: { consecutiveFailures: 3, baseEjection: 1m }
breaker: { calls: 3 }
`;

let mesh: TestMesh | undefined;
let front: TestProxy;
let isThere = false;

async function serve(started: TestMesh, service: string, version: string): Promise<void> {
  const path = join(started.dir, `${service}-${version}.sock`);
  const app = await started.child(`${service} ${version}`, python, [script, "server", `unix:${path}`, version]);
  await app.said("ready");
  const name = `${service}-${version}`;
  await started.proxy({ name, service, version, flags: ["--app", `unix:${path}`] });
}

beforeAll(async () => {
  isThere = (await run(python, ["-c", "import grpc"]).catch(() => undefined))?.code === 0;
  if (!isThere) return console.warn("left out: python3-grpcio is not installed: npm run setup -- --tests");
  const started = await TestMesh.start();
  mesh = started;
  front = await started.proxy({ name: "front", service: "front" });
  for (const service of ["orders", "frail"]) for (const version of ["v1", "v2"]) await serve(started, service, version);
  await started.apply(policy);
  for (const service of ["orders", "frail"]) await started.healthy(service, 2);
}, 180_000);

afterAll(async () => mesh?.stop(), 60_000);

test("retries, hedges, copies, faults, stickiness, circuit breakers and ejection are as the docs say", async () => {
  if (!isThere) return;
  const { code, stdout, stderr } = await run(python, [script, "cases", front.outbound]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(JSON.parse(stdout)).toEqual({
    retry: "",
    hedge: "",
    mirror: "",
    fault: "",
    sticky: "",
    breaker: "",
    outliers: "",
  });
}, 180_000);
