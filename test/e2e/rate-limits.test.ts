/** Limits from a policy file to what a gRPC client sees, with one proxy and with three that share. */
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";

const [rate, burst] = [10, 10]; // what a busy machine can exceed several times over
const limited = (more: string): string => `${frontMayCall}---
kind: RateLimit
name: echo-limit
service: echo
limits: [{ rate: ${rate}/s, burst: ${burst}${more} }]
`;

let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const front = await mesh.proxy({ name: "front", service: "front" });
  for (const name of ["echo1", "echo2", "echo3"]) await mesh.app(await mesh.proxy({ name, service: "echo" }), "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 3);
  client = new EchoClient(front.outbound, "echo");
}, 120_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

/** Calls as they come, many times the limit, for so long. */
async function load(forMs: number): Promise<{ admitted: number; seconds: number; pushbacks: number[] }> {
  const startMs = performance.now();
  const pushbacks: number[] = [];
  let admitted = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - startMs < forMs) {
      const { code, trailers, details } = await client.unary({ text: "x" });
      if (code === status.OK) admitted += 1;
      else {
        expect({ code, details }).toEqual({
          code: status.RESOURCE_EXHAUSTED,
          details: expect.stringMatching(/^over a rate limit \(decision [0-9a-f]{24}, revision \d+\)$/),
        });
        pushbacks.push(Number(trailers.get("grpc-retry-pushback-ms")[0]));
        expect(trailers.get("ashlar-decision")).toHaveLength(1);
      }
    }
  };
  await Promise.all(Array.from({ length: 32 }, caller));
  return { admitted, seconds: (performance.now() - startMs) / 1000, pushbacks };
}

function expectAbout(admitted: number, ideal: number): void {
  expect(admitted / ideal).toBeGreaterThan(0.95);
  expect(admitted / ideal).toBeLessThan(1.05);
}

test("three proxies with a limit of the mesh pass no more than its rate together, +5 %, and name a pushback", async () => {
  await mesh.apply(limited(", scope: mesh"));
  await load(3000); // the burst goes
  const { admitted, seconds, pushbacks } = await load(10_000);
  // That it is not less either is shown where the load is sure: test/contract/limit-exchange.contract.ts.
  expect(admitted / (rate * seconds)).toBeLessThan(1.05);
  expect(pushbacks.length).toBeGreaterThan(10);
  for (const pushbackMs of pushbacks) {
    expect(pushbackMs).toBeGreaterThanOrEqual(1);
    expect(pushbackMs).toBeLessThanOrEqual(60_000);
  }
}, 60_000);

test("with the control plane and NATS gone, they keep their shares", async () => {
  await mesh.up.stop();
  await load(4000);
  const { admitted, seconds } = await load(8000);
  expectAbout(admitted, rate * seconds);
}, 60_000);
