/** Limits from a policy file to what a gRPC client sees, with one proxy and with three that share. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { expectAbout, loadAbove } from "../support/limit-load.js";
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

/** Several times the limit: each of the three is asked for more than its part. */
const load = { perSecond: 4 * rate, settleMs: 4000, forMs: 10_000 };

test("three proxies with a limit of the mesh pass its rate together, ±5 %, and name a pushback", async () => {
  await mesh.apply(limited(", scope: mesh"));
  const { admitted, seconds, pushbacks } = await loadAbove([client], load);
  expectAbout(admitted, rate * seconds);
  expect(pushbacks.length).toBeGreaterThan(2 * rate * seconds);
  for (const pushbackMs of pushbacks) {
    expect(pushbackMs).toBeGreaterThanOrEqual(1);
    expect(pushbackMs).toBeLessThanOrEqual(60_000);
  }
}, 120_000);

test("with the control plane and NATS gone, they keep their shares", async () => {
  await mesh.up.stop();
  const { admitted, seconds } = await loadAbove([client], load);
  expectAbout(admitted, rate * seconds);
}, 120_000);
