/** One process beside two services, of which one cannot renew its certificate: the other does, and both go on. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePorts } from "../support/free-ports.js";
import { TestMesh } from "../support/mesh.js";
import { cliPath, type LogLine, logLines, repository, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const [relayPort, statusPort] = await freePorts(2);
const relayed = `127.0.0.1:${relayPort}`;
/** Certificates are renewed after an hour. */
const laterMs = 2 * 3_600_000;
let mesh: TestMesh;
let dir: string;
let host: TestProcess;
const started: TestProcess[] = [];

beforeAll(async () => {
  mesh = await TestMesh.start();
  dir = join(mesh.dir, "host");
  mkdirSync(dir, { mode: 0o700 });
  const tokens: string[] = [];
  for (const service of ["front", "echo"]) {
    tokens.push(join(dir, `${service}.token`));
    writeFileSync(join(dir, `${service}.token`), await mesh.token(service));
  }
  // echo reaches the control plane in a way of its own, which can be taken away
  const contact: object = JSON.parse(readFileSync(join(mesh.data, "join.json"), "utf8"));
  writeFileSync(join(dir, "relayed.json"), JSON.stringify({ ...contact, join: relayed }));
  writeFileSync(
    join(dir, "services.yaml"),
    JSON.stringify([
      { service: "front", token: tokens[0] },
      { service: "echo", token: tokens[1], join: join(dir, "relayed.json"), inbound: "127.0.0.1:0", agent: true },
    ]),
  );
}, 60_000);
afterAll(async () => {
  for (const one of started.reverse()) await one.stop();
  await mesh?.stop();
}, 60_000);

/** Starts the process with its wall clock ahead by so much. */
async function startHost(aheadMs: number): Promise<void> {
  const clock = join(dir, "clock");
  writeFileSync(clock, String(aheadMs));
  const args = [
    "--services",
    join(dir, "services.yaml"),
    "--data",
    join(dir, "d"),
    "--join",
    join(mesh.data, "join.json"),
  ];
  const more = ["--status", `127.0.0.1:${statusPort}`, "--grace", "1s", "--log-level", "debug"];
  host = new TestProcess("host", process.execPath, [cliPath, "proxy", ...args, ...more], {
    NODE_OPTIONS: `--import ${join(repository, "test/support/set-clock.mjs")}`,
    ASHLAR_TEST_CLOCK_FILE: clock,
  });
  started.push(host);
  await host.said("\nready");
}

const failures = (): readonly LogLine[] => logLines(host).filter(({ msg }) => String(msg).startsWith("cannot renew"));

test("is said in the log and by --status, by its name, and calls go on", async () => {
  const relay = new TestProcess("relay", process.execPath, [...["test/support/relay.mjs", relayed, mesh.ready().join]]);
  started.push(relay);
  await relay.said("ready");
  await startHost(0);
  await mesh.apply(frontMayCall);
  await host.stop();
  await relay.stop();

  await startHost(laterMs);
  const app = ["test/support/echo-app.mjs", "--version", "v1", "--service", "echo"];
  await mesh.child("app", process.execPath, [...app, "--agent", `unix:${dir}/d/services/echo/run/agent.sock`]);
  await until(
    "one of them cannot renew",
    () => failures().length > 0,
    30_000,
    () => host.stderr,
  );
  await until(
    "the other one has renewed",
    () => logLines(host).some(({ msg, name }) => msg === "certificate renewed" && name === "proxy front"),
    30_000,
    () => host.stderr,
  );
  expect(failures().map(({ name }) => name)).toEqual(failures().map(() => "proxy echo"));
  expect(failures()[0]).toMatchObject({
    level: 40,
    msg: "cannot renew the certificate: trying again",
    why: expect.stringContaining(relayed),
    expires: expect.stringMatching(/^\d{4}-/),
  });
  const health = await fetch(`http://127.0.0.1:${statusPort}/healthz`);
  expect(health.status).toBe(200);
  const told = (await health.text()).split("\n").filter((line) => line.includes("certificate renewal"));
  expect(told).toEqual([expect.stringMatching(/^echo: certificate renewal: /)]);
  const client = new EchoClient(`unix:${dir}/d/services/front/run/outbound.sock`, "echo");
  await until(
    "calls go on",
    async () => (await client.unary({ text: "on" })).code === 0,
    20_000,
    () => host.stderr,
  );
  client.close();
}, 120_000);
