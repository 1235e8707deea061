/** A candidate beside the active revision in a real mesh: asked about live calls, counted, recorded, never obeyed. */
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePort } from "../support/free-ports.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

describe.each([1, 2])("with %i processes", (workers) => {
  let mesh: TestMesh;
  let statusPort: number;
  const clients: EchoClient[] = [];

  beforeAll(async () => {
    mesh = await TestMesh.start();
    statusPort = await freePort();
    const flags = ["--workers", String(workers)];
    const echo = await mesh.proxy({
      name: "echo",
      service: "echo",
      flags: [...flags, "--status", `127.0.0.1:${statusPort}`],
    });
    const front = await mesh.proxy({ name: "front", service: "front", flags });
    await mesh.app(echo, "echo");
    await mesh.apply(frontMayCall);
    await mesh.healthy("echo", 1);
    // Each of them is another connection, so that every worker carries calls.
    for (let count = 0; count < 2; count++) clients.push(new EchoClient(front.outbound, "echo"));
  }, 120_000);

  afterAll(async () => {
    for (const client of clients) client.close();
    await mesh?.stop();
  }, 60_000);

  const echoOf = (info: { services: { service: string }[] }) => info.services.find(({ service }) => service === "echo");

  test("a shadow counts and records the flips of live calls, is not obeyed, and stops", async () => {
    expect(await mesh.json(0, "shadow", "status")).toEqual({ running: false });
    const candidate = mesh.policy("candidate.yaml", frontMayCall.replace("from: [front]", "from: [stranger]"));
    await mesh.json(0, "apply", "-f", candidate, "--no-activate");
    expect(await mesh.json(0, "shadow", "start", "2")).toMatchObject({ epoch: 2, revision: 2, share: 1 });
    let info = await mesh.json(0, "shadow", "status");
    await until("the proxy asks it", async () => {
      info = await mesh.json(0, "shadow", "status");
      return echoOf(info) !== undefined && info.services.every(({ running }: { running: number }) => running === 1);
    });
    for (let made = 0; made < 5; made++)
      for (const client of clients) expect((await client.unary({ text: "x" })).code).toBe(status.OK);
    await until(
      "the flips are counted",
      async () => {
        info = await mesh.json(0, "shadow", "status");
        return JSON.stringify(echoOf(info)).includes('"wouldDeny":10');
      },
      30_000,
      () => JSON.stringify(info),
    );
    expect(info).toMatchObject({ running: true, revision: 2, active: 1, epoch: 2 });
    expect(echoOf(info)).toMatchObject({
      running: 1,
      missing: [],
      same: 0,
      wouldDeny: 10,
      wouldAllow: 0,
      errors: 0,
      flips: [{ caller: "spiffe://test/service/front", method: "test.Echo/Unary", wouldDeny: 10, wouldAllow: 0 }],
    });
    await until("they are recorded", async () => {
      const { decisions } = await mesh.json(0, "decisions");
      const shadows = decisions.filter(({ shadow }: { shadow: boolean }) => shadow);
      return shadows.length === 10 && shadows.every(({ revision }: { revision: number }) => revision === 2);
    });
    expect((await mesh.cli("shadow", "status")).stdout).toContain("WOULD DENY");
    const metrics = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
    expect(metrics).toContain('ashlar_shadow_calls_total{outcome="would_deny"} 10');
    if (workers > 1) expect(metrics.match(/^ashlar_worker_calls_total\{worker="\d"\} [1-9]/gm)).toHaveLength(workers);
    expect(await mesh.json(0, "shadow", "stop")).toEqual({ epoch: 3 });
    expect(await mesh.cli("shadow", "stop")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no shadow runs/),
    });
    expect(await mesh.cli("shadow", "start", "2", "--share", "2")).toMatchObject({ code: 2 });
  }, 120_000);
});
