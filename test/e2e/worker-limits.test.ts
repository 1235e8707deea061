/** One limit over the workers of a proxy, as gRPC clients on several connections see it. */

import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { expectAbout, loadAbove } from "../support/limit-load.js";
import { TestMesh } from "../support/mesh.js";

const [rate, burst] = [10, 60];
const workers = ["--workers", "2"];
const limited = (more: string): string => `${frontMayCall}---
kind: RateLimit
name: echo-limit
service: echo
limits: [{ rate: ${rate}/s, burst: ${burst}${more} }]
`;

let mesh: TestMesh;
const clients: EchoClient[] = [];

beforeAll(async () => {
  mesh = await TestMesh.start();
  const echo = await mesh.proxy({ name: "echo", service: "echo", flags: workers });
  const front = await mesh.proxy({ name: "front", service: "front", flags: workers });
  await mesh.app(echo, "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 1);
  for (let count = 0; count < 4; count++) clients.push(new EchoClient(front.outbound, "echo"));
}, 120_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await mesh?.stop();
}, 60_000);

test.each([["proxy"], ["mesh"]])(
  "two workers with scope: %s pass the burst once, and the rate, ±5 %",
  async (scope) => {
    await mesh.apply(limited(`, scope: ${scope}`));
    const startMs = performance.now();
    let [passed, refused] = [0, 0];
    while (refused < 2 * burst) {
      const answers = await Promise.all([...clients, ...clients].map((client) => client.unary({ text: "x" })));
      for (const { code } of answers) {
        if (code === status.OK) passed += 1;
        else refused += 1;
      }
    }
    const seconds = (performance.now() - startMs) / 1000;
    expect(passed).toBeGreaterThan(0.95 * burst);
    expect(passed).toBeLessThan(1.05 * (burst + rate * seconds) + 1);
    const settled = await loadAbove(clients, { perSecond: 10 * rate, settleMs: 2000, forMs: 10_000 });
    expectAbout(settled.admitted, rate * settled.seconds);
  },
  150_000,
);
