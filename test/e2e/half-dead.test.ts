/** Instances that are there and do not answer: out of the rotation within a bound, told everywhere, and back afterwards. */
import { rmSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePorts } from "../support/free-ports.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import type { TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const names = ["sdk", "checked", "silent", "vanished", "good"] as const;
type Name = (typeof names)[number];
/** Status ports of the proxies in their order, then the control plane's. */
const statusPorts = await freePorts(names.length + 1);
let mesh: TestMesh;
const proxies = new Map<Name, TestProxy>();
let sdkApp: TestProcess;
let checkedApp: TestProcess;
let front: TestProxy;
let client: EchoClient;
/** While this file is there, the good one answers 14. */
let failing = "";

/** What each application's log line, and the reason in `services`, is when it hangs. */
const told: Readonly<Record<Exclude<Name, "good">, { readonly why: RegExp; readonly line: string | undefined }>> = {
  sdk: { why: /has not answered its proxy for too long/, line: "the application has not answered for" },
  checked: { why: /failed its health checks/, line: "the application failed its health checks" },
  silent: { why: /failed its health checks/, line: "the application failed its health checks" },
  vanished: { why: /its proxy is not heard of/, line: undefined },
};
const hanging = ["sdk", "checked", "silent", "vanished"] as const;
const proxyOf = (name: Name): TestProxy => proxies.get(name) as TestProxy;

const policy = `${frontMayCall}---
kind: Resilience
name: echo
service: echo
health: { grpc: "", interval: 1s, timeout: 3s, unhealthyAfter: 2, healthyAfter: 1 }
outliers: { consecutiveFailures: 5, baseEjection: 8s, maxEjection: 8s }
`;

const listening = (name: string, ...more: readonly string[]) => {
  const path = `${mesh.dir}/${name}-app.sock`;
  const args = ["test/support/echo-app.mjs", "--version", name, "--listen", `unix:${path}`, ...more];
  return { flags: ["--app", `unix:${path}`], path, args };
};

beforeAll(async () => {
  const status = `127.0.0.1:${statusPorts[names.length]}`;
  mesh = await TestMesh.start("test", ["--status", status, "--console", "127.0.0.1:0", "--console-plain"]);
  failing = `${mesh.dir}/good-fails`;
  const [checked, vanished] = [listening("checked", "--health"), listening("vanished")];
  const good = listening("good", "--failing", failing);
  const silent = listening("silent");
  const flagsOf: Partial<Record<Name, readonly string[]>> = {
    checked: checked.flags,
    vanished: vanished.flags,
    good: good.flags,
    silent: silent.flags,
  };
  for (const [index, name] of names.entries()) {
    const flags = ["--status", `127.0.0.1:${statusPorts[index]}`, ...(flagsOf[name] ?? [])];
    proxies.set(name, await mesh.proxy({ name, service: "echo", flags }));
  }
  front = await mesh.proxy({ name: "front", service: "front" });
  await mesh.apply(policy);
  sdkApp = await mesh.app(proxyOf("sdk"), "echo", "sdk");
  checkedApp = await mesh.child("checked", process.execPath, checked.args);
  await mesh.child("vanished", process.execPath, vanished.args);
  await mesh.child("good", process.execPath, good.args);
  await mesh.child("silent", process.execPath, ["test/support/silent-app.mjs", silent.path]);
  client = new EchoClient(front.outbound, "echo");
}, 150_000);

afterAll(async () => {
  for (const one of [sdkApp, checkedApp, proxyOf("vanished")?.process]) one?.child.kill("SIGCONT");
  client?.close();
  await mesh?.stop();
}, 60_000);

async function whyOf(): Promise<ReadonlyMap<string, string>> {
  const services = await mesh.json(0, "services");
  const { endpoints } = services.find((one: { name: string }) => one.name === "echo");
  const ids = new Map<string, Name>();
  for (const name of names)
    for (const [, id] of proxyOf(name).process.stderr.matchAll(/"proxy":"(echo-[^"]+)"/g)) ids.set(id as string, name);
  return new Map(
    endpoints.map((one: { instance: string; healthy: boolean; why?: string }) => [
      ids.get(one.instance) ?? one.instance,
      one.healthy ? "" : (one.why ?? "no reason"),
    ]),
  );
}

async function healthyMetric(name: Name): Promise<string | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${statusPorts[names.indexOf(name)]}/metrics`)).text();
  return /^ashlar_application_healthy (\d)$/m.exec(text)?.[1];
}

const linesOf = (name: Name, text: string): number => proxyOf(name).process.stderr.split(text).length - 1;

test("four ways to hang: each is out with its reason, calls go on at the one that answers, and they come back", async () => {
  let whys: ReadonlyMap<string, string> = new Map();
  const seen = () => JSON.stringify([...whys]);
  const waitFor = (what: string, holds: () => boolean) =>
    until(
      what,
      async () => {
        whys = await whyOf();
        return holds();
      },
      60_000,
      seen,
    );
  await waitFor("all but the silent one take calls", () =>
    names.every((name) => whys.has(name) && (name === "silent" || whys.get(name) === "")),
  );

  sdkApp.child.kill("SIGSTOP");
  checkedApp.child.kill("SIGSTOP");
  proxyOf("vanished").process.child.kill("SIGSTOP"); // as a host that is gone: nothing is acknowledged, nothing closes
  await waitFor("each is out, and why", () => hanging.every((name) => told[name].why.test(whys.get(name) ?? "")));
  expect(whys.get("good")).toBe("");

  const versions = new Set<string>();
  let answeredInRow = 0; // one answer may be luck
  await until("the caller's proxy knows too", async () => {
    const { response } = await client.unary({ text: "?" }, { deadlineMs: 2000 });
    answeredInRow = response?.version === "good" ? answeredInRow + 1 : 0;
    return answeredInRow === 20;
  });
  for (let turn = 0; turn < 30; turn += 1) {
    const { code, response } = await client.unary({ text: "?" }, { deadlineMs: 10_000 });
    expect(code).toBe(0);
    versions.add(response?.version ?? "");
  }
  expect([...versions]).toEqual(["good"]);
  for (const name of ["sdk", "checked", "silent"] as const) {
    expect([name, await healthyMetric(name), linesOf(name, told[name].line ?? "")]).toEqual([name, "0", 1]);
  }
  expect(await healthyMetric("good")).toBe("1");
  const { problems } = await mesh.json(0, "status");
  expect(JSON.stringify(problems)).toMatch(/silent|not heard/);

  sdkApp.child.kill("SIGCONT");
  checkedApp.child.kill("SIGCONT");
  proxyOf("vanished").process.child.kill("SIGCONT");
  await waitFor("those that recovered are back", () =>
    names.every((name) => (name === "silent") === (whys.get(name) !== "")),
  );
  const back = new Set<string>();
  await until(
    "they get calls again",
    async () => {
      const { response } = await client.unary({ text: "?" }, { deadlineMs: 10_000 });
      if (response !== undefined) back.add(response.version);
      return ["sdk", "checked", "vanished", "good"].every((name) => back.has(name));
    },
    60_000,
  );
  expect([linesOf("sdk", "answers again"), linesOf("checked", "answers its health checks again")]).toEqual([1, 1]);
}, 200_000);

/** A login of the console, and what its API answers. */
async function openConsole(): Promise<(method: string) => Promise<string>> {
  const { url } = await mesh.json(0, "console");
  const { origin, searchParams } = new URL(url);
  const body = `token=${searchParams.get("token")}`;
  const login = await fetch(`${origin}/login`, { method: "POST", headers: { origin }, body, redirect: "manual" });
  const cookie = (login.headers.get("set-cookie") ?? "").split(";", 1)[0] ?? "";
  const headers = { origin, cookie, "content-type": "application/json" };
  return async (method) => (await fetch(`${origin}/api/${method}`, { method: "POST", headers, body: "{}" })).text();
}

test("an instance that answers 14 is ejected, which everything says, and is back after it recovered", async () => {
  const ask = await openConsole();
  const id = /"proxy":"(echo-[^"]+)"/.exec(proxyOf("good").process.stderr)?.[1] ?? "";
  const metric = async (): Promise<string | undefined> => {
    const text = await (await fetch(`http://127.0.0.1:${statusPorts[names.length]}/metrics`)).text();
    return /^ashlar_instances_ejected (\d+)$/m.exec(text)?.[1];
  };
  /** What status, services, proxies, the metric, and the same over the console say of it. */
  const look = async () => {
    const { problems } = await mesh.json(0, "status");
    const told = problems.find(
      ({ code, subject }: Record<string, string>) => code === "instance-ejected" && subject === id,
    );
    const proxies = await mesh.json(0, "proxies");
    return {
      status: told?.message ?? "",
      services: (await whyOf()).get("good"),
      proxies: proxies.find((proxy: { id: string }) => proxy.id === id)?.endpoint,
      metric: await metric(),
      console: await Promise.all(["GetStatus", "ListServices", "ListProxies"].map(ask)),
    };
  };
  let seen: Awaited<ReturnType<typeof look>> | undefined;
  const waitFor = (what: string, holds: (now: NonNullable<typeof seen>) => boolean) =>
    until(
      what,
      async () => {
        await client.unary({ text: "?" }, { deadlineMs: 2000 });
        seen = await look();
        return holds(seen);
      },
      60_000,
      () => JSON.stringify(seen),
    );

  writeFileSync(failing, "");
  let failed = 0;
  await until("calls to it fail", async () => {
    if ((await client.unary({ text: "?" }, { deadlineMs: 2000 })).code === 14) failed += 1;
    return failed >= 5;
  });
  const sentence = /1 of 1 callers ejected it: its last calls all failed; said by \S+ \(front\)/;
  // an ejection is over after some seconds, so all of them say it at one look, if not at the first
  await waitFor("it is ejected, and everything says so", (now) => {
    const texts = [now.status, now.services ?? "", now.proxies.why ?? "", ...now.console];
    return now.metric !== "0" && !now.proxies.healthy && texts.every((text) => sentence.test(text));
  });
  expect(seen?.status).toMatch(/^instance \S+ of echo: .*look at its application's log$/);
  for (let turn = 0; turn < 10; turn += 1) {
    const { response } = await client.unary({ text: "?" }, { deadlineMs: 2000 });
    expect(response?.version).not.toBe("good");
  }

  rmSync(failing);
  await waitFor("it is back", (now) => now.status === "" && now.services === "" && now.proxies.healthy);
  await waitFor(
    "everything says so",
    (now) => now.metric === "0" && now.console.every((text) => !text.includes("ejected it")),
  );
  await until("it gets calls", async () => {
    const { response } = await client.unary({ text: "?" }, { deadlineMs: 2000 });
    return response?.version === "good";
  });
}, 150_000);
