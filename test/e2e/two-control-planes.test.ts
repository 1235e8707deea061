/** Two control planes of one mesh on a NATS of their own: either may go, the other serves. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall, services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { startTestNats, type TestNats } from "../support/nats.js";
import { cliPath, run } from "../support/processes.js";
import { until } from "../support/until.js";

let nats: TestNats;
let natsFlags: readonly string[];
let first: TestMesh;
let second: TestMesh;
let usedToken: string;
let client: EchoClient;

async function controlPlaneToken(of: TestMesh, name: string): Promise<string> {
  const done = await of.cli("token", "--control-plane", name);
  if (done.code !== 0) throw new Error(done.stderr);
  return done.stdout.trim();
}

beforeAll(async () => {
  nats = await startTestNats({ streams: false });
  const accountFile = join(nats.dir, "account.json");
  writeFileSync(accountFile, JSON.stringify(nats.accountFile));
  natsFlags = ["--nats", nats.url, "--nats-account", accountFile];
  first = await TestMesh.start("test", natsFlags);
  usedToken = await controlPlaneToken(first, "second");
  const tokenFile = join(nats.dir, "second.token");
  writeFileSync(tokenFile, usedToken);
  second = await TestMesh.start("test", [
    ...natsFlags,
    ...["--join", join(first.data, "join.json"), "--token", tokenFile],
  ]);
}, 60_000);

afterAll(async () => {
  client?.close();
  await Promise.all([first?.stop(), second?.stop()]);
  await nats?.stop();
}, 60_000);

const joins = (mesh: TestMesh): string[] => JSON.parse(readFileSync(join(mesh.data, "join.json"), "utf8")).joins ?? [];

const answered = (what: string, code: number) =>
  until(what, async () => (await client.unary({ text: "?" }, { deadlineMs: 3000 })).code === code);

async function killUp(mesh: TestMesh): Promise<void> {
  mesh.up.child.kill("SIGKILL");
  await mesh.up.exited;
}

test("each knows where the other one lets proxies join, and both note the joining in one audit log", async () => {
  await until("both name both", () => joins(first).length === 2 && joins(second).length === 2);
  expect([...joins(first)].sort()).toEqual([...joins(second)].sort());
  const entries: { action: string; actor: string; target: string }[] = await second.json(0, "audit");
  const joined = entries.filter((entry) => entry.action === "join");
  expect(joined.map((entry) => [entry.actor, entry.target])).toEqual([
    ["anonymous", "control plane second"],
    ["spiffe://test/control-plane/second", "control plane second"],
  ]);
  expect((await first.cli("audit", "verify")).code).toBe(0);
});

test("what is published on one is activated on the other, for proxies that joined at either", async () => {
  const [echo, front] = await Promise.all([
    first.proxy({ name: "echo", service: "echo" }),
    second.proxy({ name: "front", service: "front" }),
  ]);
  await first.app(echo, "echo");
  const file = first.policy("policy.yaml", frontMayCall);
  expect(await first.json(0, "apply", "-f", file, "--no-activate")).toMatchObject({ created: true, revision: 1 });
  expect(await second.json(0, "activate", "1", "--wait")).toMatchObject({ revision: 1, epoch: 1 });
  await second.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
  await answered("front calls echo", status.OK);
  for (const mesh of [first, second])
    await until("it is healthy", async () => {
      const { epoch, healthy } = await mesh.json(0, "status");
      expect(epoch).toBe(1);
      return healthy;
    });
}, 60_000);

test("of two that publish at once on the same parent one wins, and the other is told so", async () => {
  for (let parent = 1; parent <= 3; parent += 1) {
    const publish = (mesh: TestMesh, name: string) => {
      const file = mesh.policy(`${name}.yaml`, `${frontMayCall}---\nkind: Service\nname: ${name}-${parent}\n`);
      return mesh.cli("apply", "-f", file, "--no-activate", "--parent", String(parent));
    };
    const done = await Promise.all([publish(first, "one"), publish(second, "two")]);
    expect(done.map(({ code }) => code).sort()).toEqual([0, 1]);
    expect(done.find(({ code }) => code === 1)?.stderr).toMatch(/somebody else was first|head/);
  }
}, 60_000);

test("an operator of one is known at the other", async () => {
  const context = JSON.parse(readFileSync(join(first.data, "admin.json"), "utf8"));
  const crossed = join(nats.dir, "crossed.json");
  writeFileSync(crossed, JSON.stringify({ ...context, admin: second.ready().admin }));
  const done = await run(process.execPath, [cliPath, "--context", crossed, "log", "-o", "json"]);
  expect([done.code, JSON.parse(done.stdout).length]).toEqual([0, 4]);
});

test("the second one is killed: the first one serves, and it comes back with the same command", async () => {
  await killUp(second);
  await answered("calls go on", status.OK);
  await first.apply(services);
  await answered("the deny is in force", status.PERMISSION_DENIED);
  await first.json(0, "rollback", "--wait");
  await answered("and taken back", status.OK);
  await first.proxy({ name: "late-1", service: "stranger" });
  await second.startUp().said("ready");
  expect(await second.json(0, "status")).toMatchObject({ epoch: 3 });
}, 60_000);

test("the first one is killed: the second one serves all but changes of trust", async () => {
  await killUp(first);
  await answered("calls go on", status.OK);
  await second.apply(services);
  await answered("the deny is in force", status.PERMISSION_DENIED);
  await second.json(0, "rollback", "--wait");
  await answered("and taken back", status.OK);
  await second.proxy({ name: "late-2", service: "stranger" });
  const refused = await second.cli("token", "--control-plane", "third");
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/began the mesh/)]);
  await first.startUp().said("ready");
  expect(await first.json(0, "status")).toMatchObject({ epoch: 5 });
  expect((await first.cli("audit", "verify")).code).toBe(0);
}, 60_000);

test("a used token, a proxy's and one of another mesh are refused with one clear line", async () => {
  const other = `${usedToken.split(".").slice(0, 2).join(".")}.${"A".repeat(43)}.test`;
  copyFileSync(join(first.data, "join.json"), join(nats.dir, "join.json"));
  const tokens = [usedToken, await first.token("echo"), other, "no token"] as const;
  for (const [index, pattern] of [/used already/, /for a proxy/, /different meshes/, /not a join token/].entries()) {
    const tokenFile = join(nats.dir, `token-${index}`);
    writeFileSync(tokenFile, tokens[index] ?? "");
    const done = await run(process.execPath, [
      ...[cliPath, "up", "--data", join(nats.dir, `up-${index}`), "--listen", "127.0.0.1:0", ...natsFlags],
      ...["--join", join(nats.dir, "join.json"), "--token", tokenFile],
    ]);
    expect([done.code, done.stderr]).toEqual([1, expect.stringMatching(pattern)]);
    expect(done.stderr).not.toMatch(/\n\s+at .*:\d+/);
  }
}, 60_000);
