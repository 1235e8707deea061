/** A host that is gone without FIN or RST: packets to it are dropped, in network namespaces of this test's own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { cliPath, type TestProcess } from "../support/processes.js";
import { type Prefix, runIn, startIn, TwoHosts } from "../support/two-hosts.js";
import { until } from "../support/until.js";

const whyNot = TwoHosts.whyNot();
if (whyNot !== undefined) process.stderr.write(`vanished-host.test.ts is skipped on this machine: ${whyNot}\n`);
const node = process.execPath;
let dir: string;
let hosts: TwoHosts;
let client: EchoClient;
const running: TestProcess[] = [];

/** Calls with x-to go to that version; others to both, and are tried again elsewhere. */
const policy = `${frontMayCall}---
kind: Route
name: echo
service: echo
rules:
  - match: { headers: { x-to: far } }
    split: [{ version: far, weight: 1 }]
  - match: { methods: [test.Echo/Unary] }
    retry: { attempts: 4, on: [UNAVAILABLE, DEADLINE_EXCEEDED], backoff: 25ms, perTryTimeout: 1s }
  - match: {}
`;

async function ashlar(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runIn(hosts.near, node, [cliPath, ...args], {
    ASHLAR_CONTEXT: join(dir, "up/admin.json"),
  });
  if (code !== 0) throw new Error(`ashlar ${args.join(" ")}: exit ${code}\n${stdout}\n${stderr}`);
  return stdout;
}

async function start(on: Prefix, name: string, args: readonly string[]): Promise<void> {
  const started = startIn(on, name, node, args);
  running.push(started);
  await started.said("ready", 60_000);
}

async function proxy(on: Prefix, service: string, version: string, address: string): Promise<string> {
  const folder = join(dir, version);
  mkdirSync(folder, { mode: 0o700 });
  const token = await ashlar("token", "--service", service, "--version", version);
  writeFileSync(join(folder, "token"), token);
  await start(on, `proxy ${version}`, [
    ...[cliPath, "proxy", "--service", service, "--token", join(folder, "token"), "--join", join(dir, "up/join.json")],
    ...["--inbound", `${address}:0`, "--data", join(folder, "data"), "--outbound", `unix:${folder}/out.sock`],
    ...(service === "echo" ? ["--app", `unix:${folder}/app.sock`] : []),
    ...["--keepalive", "11s"],
  ]);
  return `unix:${folder}/out.sock`;
}

/** The private NATS is on loopback: the far host reaches it at the same address, over the cable. */
async function shareNats(): Promise<void> {
  const { nats } = JSON.parse(readFileSync(join(dir, "up/ready.json"), "utf8"));
  const own = new URL(nats).host;
  const shared = `${hosts.nearAddress}:${new URL(nats).port}`;
  await start(hosts.near, "relay near", ["test/support/relay.mjs", shared, own]);
  await start(hosts.far, "relay far", ["test/support/relay.mjs", own, shared]);
}

beforeAll(async () => {
  if (whyNot !== undefined) return;
  dir = mkdtempSync(join(tmpdir(), "ash-"));
  hosts = await TwoHosts.open();
  const up = [cliPath, "up", "--data", join(dir, "up"), "--mesh", "test"];
  await start(hosts.near, "up", [
    ...up,
    "--listen",
    `${hosts.nearAddress}:0`,
    "--join-listen",
    `${hosts.nearAddress}:0`,
  ]);
  await shareNats();
  const outbound = await proxy(hosts.near, "front", "front", hosts.nearAddress);
  for (const [on, version, address] of [
    [hosts.near, "near", hosts.nearAddress],
    [hosts.far, "far", hosts.farAddress],
  ] as const) {
    await proxy(on, "echo", version, address);
    const listen = ["--listen", `unix:${dir}/${version}/app.sock`];
    await start(on, `app ${version}`, ["test/support/echo-app.mjs", "--version", version, ...listen]);
  }
  writeFileSync(join(dir, "policy.yaml"), policy);
  await ashlar("apply", "-f", join(dir, "policy.yaml"), "--wait");
  client = new EchoClient(outbound, "echo");
}, 200_000);

afterAll(async () => {
  client?.close();
  for (const one of running.reverse()) await one.stop();
  await hosts?.close();
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
}, 60_000);

async function whyFar(): Promise<string> {
  const services = JSON.parse(await ashlar("services", "-o", "json"));
  const endpoints = services.find(({ name }: { name: string }) => name === "echo")?.endpoints ?? [];
  const one = endpoints.find(({ version }: { version: string }) => version === "far");
  if (one === undefined) return "it is not there";
  return one.healthy ? "" : one.why;
}

test("calls go on at the other host, what is open there ends with a reason, and it is back when it can be reached", async () => {
  if (whyNot !== undefined) return;
  const answered = new Set<string>();
  const codes = new Set<string>();
  let calling = true;
  const lane = async (): Promise<void> => {
    while (calling) {
      const { code, details, response } = await client.unary({ text: "?" }, { deadlineMs: 10_000 });
      codes.add(code === 0 ? "0" : `${code} ${details}`);
      answered.add(response?.version ?? "");
    }
  };
  let last = "";
  const seen = async (why: string): Promise<boolean> => {
    last = await whyFar();
    return last === why;
  };
  const untilSeen = (what: string, why: string): Promise<void> =>
    until(
      what,
      () => seen(why),
      60_000,
      () => last,
    );
  await untilSeen("it takes calls", "");
  await until("both answer", async () => {
    answered.add((await client.unary({ text: "?" })).response?.version ?? "");
    return answered.has("near") && answered.has("far");
  });
  const lanes = Array.from({ length: 4 }, lane);
  const toFar = new Metadata();
  toFar.set("x-to", "far");
  const stream = client.raw.Bidi(toFar);
  const ended = new Promise<StatusObject>((resolve) => stream.on("status", resolve));
  const heard = new Promise((resolve) => stream.once("data", resolve));
  stream.on("error", () => {}); // its status says it
  stream.write({ text: "?" });
  await heard;

  await hosts.cut();
  await untilSeen("people see it", "its proxy is not heard of");
  answered.clear();
  expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
  await until("the other one answers", () => answered.has("near"));
  const problems = JSON.parse(await ashlar("status", "-o", "json")).problems.map(({ code }: { code: string }) => code);
  expect(problems).toContain("proxy-silent");

  await hosts.mend();
  await untilSeen("it is back for people", "");
  answered.clear();
  await until("and for calls", () => answered.has("far"), 60_000);
  calling = false;
  await Promise.all(lanes);
  expect([...codes]).toEqual(["0"]);
}, 300_000);
