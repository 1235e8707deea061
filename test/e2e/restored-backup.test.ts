/** A data folder is put back from a backup and signs a number again that proxies have seen under another record. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall, services } from "../support/echo-policy.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
let echo: TestProxy;
let front: TestProxy;
let client: EchoClient;

interface Problem {
  readonly code: string;
  readonly subject: string;
  readonly message: string;
}

beforeAll(async () => {
  mesh = await TestMesh.start();
  [echo, front] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo" }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  await mesh.app(echo, "echo");
  await mesh.apply(services); // revision 1, epoch 1
  await mesh.apply(`${services}---\nkind: Service\nname: second\n`); // 2, 2
  client = new EchoClient(front.outbound, "echo");
}, 120_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

const backup = (): string => join(mesh.dir, "backup");
const code = async () => (await client.unary({ text: "?" }, { deadlineMs: 3000 })).code;

async function restart(proxy: TestProxy): Promise<void> {
  await proxy.start().said("ready");
}

test("I2: the conflict is named, signing stops, an operator chooses, and every proxy follows", async () => {
  await mesh.up.stop();
  cpSync(mesh.data, backup(), { recursive: true });
  await restartUp();
  expect(await mesh.apply(frontMayCall)).toMatchObject({ revision: 3, epoch: 3 }); // acknowledged, in force
  await until("calls pass", async () => (await code()) === status.OK);

  // everybody is away when the backup is put back; meanwhile the number is used again
  await Promise.all([front.process.stop(), echo.process.stop(), mesh.up.stop()]);
  rmSync(mesh.data, { recursive: true });
  cpSync(backup(), mesh.data, { recursive: true });
  await restartUp();
  const again = mesh.policy("again.yaml", `${services}---\nkind: Service\nname: again\n`);
  const applied = await mesh.json(0, "apply", "-f", again);
  expect(applied).toMatchObject({ revision: 3, epoch: 3 });
  await Promise.all([restart(front), restart(echo)]);

  let found: readonly Problem[] = [];
  await until(
    "both conflicts are named",
    async () => {
      const { problems } = (await mesh.json(0, "status")) as { problems: readonly Problem[] };
      found = problems.filter((one) => one.code === "record-conflict");
      return found.length === 2 && found.every(({ message }) => /is seen at .*(echo|front)/.test(message));
    },
    60_000,
    () => `${mesh.up.stderr.slice(-2000)}\n${front.process.stderr.slice(-2000)}`,
  );
  expect(found.map(({ subject }) => subject)).toEqual(["epoch 3", "revision 3"]);
  expect((await mesh.cli("status")).stdout).toMatch(/two records of epoch 3 .*ashlar recover DIGEST/);
  for (const refused of [await mesh.cli("apply", "-f", again, "--yes"), await mesh.cli("rollback")])
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/two records of .* 3 were signed/)]);
  expect(await code()).toBe(status.OK); // proxies go on with what they had in force

  const [, lost = ""] = /is in this log, ([0-9a-f]{64})/.exec(found[0]?.message ?? "") ?? [];
  expect(await mesh.json(0, "recover", lost, "-m", "it was acknowledged")).toEqual({
    log: "activations",
    key: 3,
    head: 4,
    revision: 4,
  });
  await settled(4);
  expect(await code()).toBe(status.OK);
  expect(JSON.stringify(await mesh.json(0, "audit"))).toMatch(/chosen for epoch 3; now epoch 4, revision 4/);
}, 300_000);

test("what was decided outlives a restart of everybody, and the mesh goes on", async () => {
  await Promise.all([front.process.stop(), echo.process.stop(), mesh.up.stop()]);
  await restartUp();
  await Promise.all([restart(front), restart(echo)]);
  await settled(4);
  expect(await mesh.apply(services, "--yes")).toMatchObject({ revision: 5, epoch: 5 });
  await until("calls are denied", async () => (await code()) === status.PERMISSION_DENIED);
}, 120_000);

async function restartUp(): Promise<void> {
  await mesh.startUp().said("ready");
}

/** Both proxies evaluate this epoch, and nothing is wrong. */
async function settled(epoch: number): Promise<void> {
  let last: unknown;
  await until(
    `epoch ${epoch} is in force everywhere and nothing is wrong`,
    async () => {
      last = await mesh.json(0, "status");
      const { healthy, proxies, epoch: now } = last as { healthy: boolean; epoch: number; proxies: { active: number } };
      return healthy && now === epoch && proxies.active === 2;
    },
    60_000,
    () => `${JSON.stringify(last)}\n${front.process.stderr.slice(-2000)}`,
  );
}
