/** The logs are lost, in NATS and in the control plane's own copy: proxies give back what they hold. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall, services } from "../support/echo-policy.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
let client: EchoClient;
let front: TestProxy;

const nobodyMayCall = services;
const withMessage = (text: string) => `${frontMayCall}---\nkind: Service\nname: ${text}\n`;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const [echo, caller] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo" }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  front = caller;
  await mesh.app(echo, "echo");
  await mesh.apply(nobodyMayCall); // revision 1, epoch 1
  await mesh.apply(withMessage("second")); // 2, 2
  await mesh.apply(withMessage("third")); // 3, 3
  await mesh.json(0, "rollback", "--wait"); // 2, epoch 4
  await mesh.apply(withMessage("fourth")); // 4, epoch 5
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
  await until("calls pass", async () => (await client.unary({ text: "?" }, { deadlineMs: 3000 })).code === status.OK);
}, 120_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

/** What survives is who the mesh is (keys, tokens, roster, audit), and nothing of what it said. */
async function loseLogs(): Promise<void> {
  await mesh.up.stop("SIGKILL");
  const nats = join(mesh.data, "nats");
  // It outlives a killed `up`, and would go on with files that have no name any more.
  const { pid, port } = JSON.parse(readFileSync(join(nats, "process.json"), "utf8"));
  process.kill(pid, "SIGKILL");
  await until("NATS is gone", async () => !(await listens(port)));
  const stores = readdirSync(nats).filter((name) => /jetstream|store/i.test(name));
  expect(stores).not.toEqual([]);
  for (const name of stores) rmSync(join(nats, name), { recursive: true });
  expect(existsSync(join(mesh.data, "ledger"))).toBe(true);
  rmSync(join(mesh.data, "ledger"), { recursive: true });
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true));
    socket.once("connect", () => socket.destroy());
    socket.once("error", () => resolve(false));
  });
}

async function heads(): Promise<{ epoch: number; revision: number }> {
  const { epoch, revision } = await mesh.json(0, "status");
  return { epoch, revision };
}

test("traffic goes on, what was signed comes back byte for byte, and no number or epoch is used twice (I1, I2)", async () => {
  const before = await mesh.json(0, "log");
  await loseLogs();
  const refused: string[] = [];
  let calls = 0;
  let stop = false;
  const traffic = (async () => {
    while (!stop) {
      calls += 1;
      const done = await client.unary({ text: "?" }, { deadlineMs: 5000 });
      if (done.code !== status.OK) refused.push(`${done.code}: ${done.details}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  mesh.startUp();
  await mesh.up.said("ready");

  const early = await mesh.cli("apply", "-f", mesh.policy("early.yaml", withMessage("early")), "--no-activate");
  expect([early.code, early.stderr]).toEqual([1, expect.stringMatching(/lost/)]);
  const back = await mesh.cli("rollback");
  expect([back.code, back.stderr]).toEqual([1, expect.stringMatching(/lost/)]);

  await until(
    "the logs are back",
    async () => JSON.stringify(await mesh.json(0, "log")) === JSON.stringify(before),
    120_000,
    () => `${mesh.up.stderr.slice(-2000)}\n${front.process.stderr.slice(-3000)}`,
  );
  await until(
    "nothing is held any more",
    async () => {
      const done = await mesh.cli(
        "apply",
        "-f",
        mesh.policy("fifth.yaml", withMessage("fifth")),
        "--yes", // the policy before is lost in part, so what is taken away is not known
        "--wait",
        "-o",
        "json",
      );
      if (done.code !== 0) expect(done.stderr).toMatch(/lost/);
      return done.code === 0 && JSON.parse(done.stdout).revision === 5;
    },
    60_000,
    () => mesh.up.stderr.slice(-3000),
  );
  expect(await heads()).toMatchObject({ revision: 5, epoch: 6 });
  expect(await mesh.json(0, "rollback", "--to", "3", "--wait")).toMatchObject({ revision: 3, epoch: 7 });
  stop = true;
  await traffic;
  expect([calls > 50, refused.slice(0, 3), refused.length]).toEqual([true, [], 0]);
  const audit = await mesh.json(0, "audit");
  expect(JSON.stringify(audit)).toMatch(/given back/);
}, 300_000);

test("a restart knows the logs as they were given back, and a new proxy joins", async () => {
  await mesh.up.stop();
  mesh.startUp();
  await mesh.up.said("ready");
  expect(await heads()).toMatchObject({ revision: 3, epoch: 7 });
  expect((await mesh.json(0, "log")).map(({ number }: { number: number }) => number)).toEqual([5, 4, 3, 2, 1]);
  await mesh.proxy({ name: "late", service: "front" });
  expect(await mesh.apply(withMessage("sixth"), "--yes")).toMatchObject({ revision: 6, epoch: 8 });
}, 120_000);

test("the private NATS is lost with its keys and its port: running proxies find the new one", async () => {
  await mesh.up.stop();
  rmSync(join(mesh.data, "nats"), { recursive: true });
  mesh.startUp();
  await mesh.up.said("ready");
  const epochs = async (): Promise<number[]> =>
    (await mesh.json(0, "proxies")).map(({ epoch }: { epoch: number }) => epoch);
  const { epoch } = await mesh.apply(withMessage("seventh"), "--yes");
  expect(epoch).toBeGreaterThan(8);
  await until(
    "each proxy is on the new epoch",
    async () => JSON.stringify(await epochs()) === JSON.stringify([epoch, epoch, epoch]),
    180_000,
    () => front.process.stderr.slice(-3000),
  );
  expect(front.process.stderr).toMatch(/a control plane was asked where it is/);
  expect((await client.unary({ text: "?" }, { deadlineMs: 5000 })).code).toBe(status.OK);
}, 300_000);

test("only the folder of keys is put back, and the control plane listens where it did: proxies give the rest back", async () => {
  const before = await heads();
  const trust = (await mesh.json(0, "trust", "show")).sequence;
  const { join: address } = JSON.parse(readFileSync(join(mesh.data, "join.json"), "utf8"));
  await mesh.up.stop();
  for (const name of readdirSync(mesh.data)) {
    if (name !== "identity") rmSync(join(mesh.data, name), { recursive: true });
  }
  mesh.startUp(address);
  await mesh.up.said("ready");
  await until(
    "the logs are back",
    async () => JSON.stringify(await heads()) === JSON.stringify(before),
    180_000,
    () => `${mesh.up.stderr.slice(-2000)}\n${front.process.stderr.slice(-3000)}`,
  );
  expect((await mesh.json(0, "trust", "show")).sequence).toBe(trust);
  expect((await client.unary({ text: "?" }, { deadlineMs: 5000 })).code).toBe(status.OK);
  await mesh.proxy({ name: "last", service: "front" });
}, 300_000);
