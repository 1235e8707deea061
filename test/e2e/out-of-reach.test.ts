/** An instance whose `--advertise` is wrong: its calls go to others, everybody is told, and it is over when it can be reached. */
import { connect, createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePorts } from "../support/free-ports.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

const callers = [1, 2] as const; // the number of processes of each
let mesh: TestMesh;
let ports: readonly number[];
let way: Server | undefined;
const clients: EchoClient[] = [];

beforeAll(async () => {
  ports = await freePorts(5);
  const [wrong, inbound, ofControlPlane, ...status] = ports;
  mesh = await TestMesh.start("test", ["--status", `127.0.0.1:${ofControlPlane}`]);
  const path = `${mesh.dir}/app.sock`;
  const args = ["test/support/echo-app.mjs", "--version", "v1", "--listen", `unix:${path}`];
  const app = ["--app", `unix:${path}`];
  await mesh.proxy({ name: "good", service: "echo", flags: app });
  const flags = [...app, "--inbound", `127.0.0.1:${inbound}`, "--advertise", `127.0.0.1:${wrong}`];
  await mesh.proxy({ name: "wrong", service: "echo", flags });
  for (const [index, workers] of callers.entries()) {
    const flags = ["--workers", String(workers), "--status", `127.0.0.1:${status[index]}`];
    const { outbound } = await mesh.proxy({ name: `front-${workers}`, service: "front", flags });
    // several connections, so that each worker calls
    for (let one = 0; one < 2 * workers; one += 1) clients.push(new EchoClient(outbound, "echo"));
  }
  await mesh.child("app", process.execPath, args);
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 2);
}, 300_000);

afterAll(async () => {
  for (const client of clients) client.close();
  way?.close();
  await mesh?.stop();
}, 60_000);

async function seen() {
  const [services, status] = await mesh.ask((admin) => Promise.all([admin.listServices({}), admin.getStatus({})]));
  const endpoints = services.services.find(({ name }) => name === "echo")?.endpoints ?? [];
  const wrong = endpoints.find(({ address }) => address === `127.0.0.1:${ports[0]}`);
  const problem = status.problemDetails.find(({ code }) => code === "endpoint-out-of-reach");
  return { wrong, problem, healthy: endpoints.filter(({ healthy }) => healthy).length };
}

async function metricAt(port: number | undefined, name: string): Promise<string | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return line?.slice(name.length + 1);
}
const ofCaller = 'ashlar_endpoints_unreached{service="echo"}';
const ofMesh = "ashlar_endpoints_out_of_reach";

test("calls go to the other instance; services, status, metrics and the log say it, until it is over", async () => {
  const codes = new Set<number>();
  const callAll = async (): Promise<void> => {
    const answers = await Promise.all(clients.map((client) => client.unary({ text: "?" }, { deadlineMs: 10_000 })));
    for (const { code } of answers) codes.add(code);
  };
  let last: Awaited<ReturnType<typeof seen>> | undefined;
  const calling = (what: string, holds: () => boolean | Promise<boolean>): Promise<void> =>
    until(
      what,
      async () => {
        await callAll();
        last = await seen();
        return holds();
      },
      60_000,
      () => JSON.stringify(last),
    );
  await calling("both callers say it", () => last?.wrong?.why.startsWith("2 of 2 callers cannot connect to") === true);
  expect([last?.wrong?.healthy, last?.healthy]).toEqual([false, 1]);
  expect(last?.wrong?.why).toMatch(/ECONNREFUSED.*; said by front-\S+ \(front\), front-\S+ \(front\)$/);
  expect(last?.problem).toMatchObject({ subject: last?.wrong?.proxyId });
  expect(last?.problem?.message).toContain("is that what its --advertise should say?");
  const [, inbound, ofControlPlane, ...status] = ports;
  for (const port of status) await calling("its metrics say it", async () => (await metricAt(port, ofCaller)) === "1");
  expect(await metricAt(ofControlPlane, ofMesh)).toBe("1");
  const lines = () => mesh.up.stderr.split("cannot connect to 127.0.0.1").length - 1;
  await calling("the log says it", () => lines() > 0);

  way = createServer((socket) => {
    const other = connect(inbound ?? 0, "127.0.0.1");
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
    }
  }).listen(ports[0], "127.0.0.1");
  await calling(
    "it is over",
    () => last?.wrong?.healthy === true && last.wrong.why === "" && last.problem === undefined,
  );
  for (const port of status)
    await calling("their metrics too", async () => (await metricAt(port, ofCaller)) === undefined);
  expect(await metricAt(ofControlPlane, ofMesh)).toBe("0");
  await calling("the log too", () => mesh.up.stderr.includes("no caller says any more"));
  expect([[...codes], lines()]).toEqual([[0], 1]);
}, 400_000);
