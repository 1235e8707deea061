/** Proxies with worker processes: calls are spread, switches count when every worker made them, and any may be killed. */
import { readFileSync } from "node:fs";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePort } from "../support/free-ports.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { until } from "../support/until.js";

const workers = 2;
const statusPort = await freePort();
let mesh: TestMesh;
let echo: TestProxy;
let front: TestProxy;
const clients: EchoClient[] = [];

beforeAll(async () => {
  mesh = await TestMesh.start();
  const flags = ["--workers", String(workers)];
  [echo, front] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo", flags: [...flags, "--status", `127.0.0.1:${statusPort}`] }),
    mesh.proxy({ name: "front", service: "front", flags }),
  ]);
  await mesh.app(echo, "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 1);
  for (let count = 0; count < 4; count++) clients.push(new EchoClient(front.outbound, "echo"));
}, 120_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await mesh?.stop();
}, 60_000);

function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function ask(path: string): Promise<{ readonly code: number; readonly text: string }> {
  const answer = await fetch(`http://127.0.0.1:${statusPort}${path}`);
  return { code: answer.status, text: await answer.text() };
}

/** The values of a metric by the label `worker`. */
async function byWorker(name: string): Promise<readonly number[]> {
  const { text } = await ask("/metrics");
  return [...text.matchAll(new RegExp(`^${name}\\{worker="\\d+"\\} (\\d+)$`, "gm"))].map((match) => Number(match[1]));
}

const codes = async (): Promise<readonly number[]> =>
  (await Promise.all(clients.map((client) => client.unary({ text: "?" }, { deadlineMs: 5000 })))).map(
    ({ code }) => code,
  );

const answered = (what: string, code: number) =>
  until(`${what}: every call is answered ${code}`, async () => (await codes()).every((one) => one === code), 30_000);

test("calls go through every worker, and are counted together", async () => {
  await answered("at first", status.OK);
  expect(childrenOf(echo.process.pid)).toHaveLength(workers);
  expect((await ask("/readyz")).code).toBe(200);
  await until("both workers carry calls", async () => {
    await codes();
    return (await byWorker("ashlar_worker_calls_total")).filter((calls) => calls > 0).length === workers;
  });
  const { text } = await ask("/metrics");
  const total = [...text.matchAll(/^ashlar_calls_total\{direction="inbound".*code="OK"\} (\d+)$/gm)];
  const sum = total.reduce((all, match) => all + Number(match[1]), 0);
  expect(sum).toBe((await byWorker("ashlar_worker_calls_total")).reduce((all, calls) => all + calls, 0));
}, 60_000);

test("a switch is reported when every worker made it, and denies in all of them (I7, I10)", async () => {
  const closed = mesh.policy("closed.yaml", frontMayCall.replace("[front]", "[stranger]"));
  const { revision } = await mesh.json(0, "apply", "-f", closed, "--no-activate");
  await until("the revision is prepared", async () => (await mesh.json(0, "status")).proxies.prepared === 2, 30_000);
  const [first = 0] = childrenOf(echo.process.pid);
  process.kill(first, "SIGSTOP");
  try {
    const { epoch } = await mesh.json(0, "activate", String(revision), "--force");
    let evaluating = 0;
    await until("the proxy has seen the epoch", async () => {
      const { text } = await ask("/metrics");
      evaluating = Number(/^ashlar_epoch_evaluating (\d+)$/m.exec(text)?.[1]);
      return Number(/^ashlar_epoch_seen (\d+)$/m.exec(text)?.[1]) >= epoch;
    });
    expect(evaluating).toBeGreaterThan(0);
    expect(evaluating).toBeLessThan(epoch); // one worker still judges by the old one
  } finally {
    process.kill(first, "SIGCONT");
  }
  const done = await mesh.cli("wait", "--timeout", "30s");
  expect(done.code).toBe(0);
  for (const code of await codes()) expect(code).toBe(status.PERMISSION_DENIED);
  await mesh.apply(frontMayCall);
  await answered("allowed again", status.OK);
}, 90_000);

test("calls go on when a worker is killed, and it is replaced", async () => {
  const [first = 0] = childrenOf(echo.process.pid);
  process.kill(first, "SIGKILL");
  await answered("with one worker fewer", status.OK);
  await until("the proxy is ready with all workers", async () => (await ask("/readyz")).code === 200, 30_000);
  expect(childrenOf(echo.process.pid)).toHaveLength(workers);
  expect(childrenOf(echo.process.pid)).not.toContain(first);
  expect((await byWorker("ashlar_worker_restarts_total")).reduce((all, one) => all + one, 0)).toBe(1);
  await answered("with the new worker", status.OK);
}, 90_000);

test("a stop drains the workers, and SIGTERM to all of them ends no call", async () => {
  const pids = childrenOf(front.process.pid);
  const slow = clients[0]?.unary({ text: "slow", delay_ms: 1000 }, { deadlineMs: 10_000 });
  for (const pid of pids) process.kill(pid, "SIGTERM");
  expect((await slow)?.code).toBe(status.OK);
  expect(childrenOf(front.process.pid)).toEqual(pids);
  expect(await front.process.stop()).toBe(0);
  await until("no worker is left", () => !pids.some(isRunning));
}, 60_000);

test("workers do not outlive the first process", async () => {
  const pids = childrenOf(echo.process.pid);
  expect(pids).toHaveLength(workers);
  await echo.process.stop("SIGKILL");
  await until("no worker is left", () => !pids.some(isRunning));
}, 60_000);
