/** The control plane's signing key is replaced while calls run; afterwards the old key is worth nothing. */
import { createPrivateKey } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createSigner, type Signer } from "../../core/signature.js";
import { signActivation, verifyActivation } from "../../core/wire/records.js";
import { ingestSubject, streamOf } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall, services } from "../support/echo-policy.js";
import { freePort } from "../support/free-ports.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { startTestNats, type TestNats } from "../support/nats.js";
import { until } from "../support/until.js";

let nats: TestNats;
let bus: Bus;
let mesh: TestMesh;
let echo: TestProxy;
let front: TestProxy;
let client: EchoClient;
let oldKey: Signer;
const lost: string[] = [];
const statusPort = await freePort();
let calls = 0;
let loading = true;
let load: Promise<unknown> = Promise.resolve();

async function callOn(): Promise<void> {
  while (loading) {
    const { code, details } = await client.unary({ text: "?" }, { deadlineMs: 5000 });
    calls += 1;
    if (code !== status.OK) lost.push(`${code} ${details}`);
  }
}
const evaluating = (epoch: number) =>
  until(
    `all proxies evaluate epoch ${epoch}`,
    async () => {
      const proxies: { epoch: number }[] = await mesh.json(0, "proxies");
      return proxies.length === 2 && proxies.every((proxy) => proxy.epoch === epoch);
    },
    20_000,
  );

beforeAll(async () => {
  nats = await startTestNats({ streams: false });
  const accountFile = join(nats.dir, "account.json");
  writeFileSync(accountFile, JSON.stringify(nats.accountFile));
  mesh = await TestMesh.start("test", ["--nats", nats.url, "--nats-account", accountFile]);
  bus = await nats.connect(await nats.controlPlaneUser("thief"));
  [echo, front] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo" }),
    mesh.proxy({ name: "front", service: "front", flags: ["--status", `127.0.0.1:${statusPort}`] }),
  ]);
  await mesh.app(echo, "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
  await until("front calls echo", async () => (await client.unary({ text: "?" })).code === status.OK);
  const { signingKey } = JSON.parse(readFileSync(join(mesh.data, "identity", "authority.json"), "utf8"));
  oldKey = createSigner(createPrivateKey(signingKey));
}, 90_000);

afterAll(async () => {
  loading = false;
  await load;
  client?.close();
  await mesh?.stop();
  await nats?.stop();
}, 60_000);

test("rotated and dropped under load: no call is lost, and every proxy evaluates what the new key signed", async () => {
  load = Promise.all(Array.from({ length: 8 }, callOn));
  const rotated = await mesh.json(0, "trust", "rotate", "-m", "yearly");
  expect(rotated).toMatchObject({ previousKid: oldKey.kid, trustSequence: 2, epoch: 2 });
  await evaluating(2);
  const shown = await mesh.json(0, "trust", "show");
  expect(shown.signingKeys).toHaveLength(2);
  expect(await mesh.json(0, "trust", "drop", oldKey.kid)).toMatchObject({ trustSequence: 3 });
  const before = calls;
  await until("200 more calls", () => calls >= before + 200);
  expect(lost).toEqual([]);
  expect(await mesh.json(0, "status")).toMatchObject({ epoch: 2, revision: 1, trustSequence: 3, healthy: true });
  const entries: { action: string; detail: string }[] = await mesh.json(0, "audit");
  expect(entries.filter(({ action }) => action === "trust").map(({ detail }) => detail)).toEqual([
    `${rotated.kid} after ${oldKey.kid}: yearly`,
    "dropped",
  ]);
}, 60_000);

/** What a process that was started again logged above "info". */
const warningsOf = ({ stderr }: { readonly stderr: string }): string[] =>
  stderr.split("\n").filter((line) => /"level":(?:[4-6]0|"(?:warn|error|fatal)")/.test(line));

test("rotated, dropped, then everything is started again: no problem, no warning, healthy", async () => {
  loading = false;
  await load;
  await Promise.all([front.process.stop(), echo.process.stop()]);
  await mesh.up.stop();
  await mesh.startUp().said("ready");
  echo.start();
  front.start();
  await Promise.all([echo.process.said("ready"), front.process.said("ready")]);
  await evaluating(2);
  let shown: { problems: unknown[] } | undefined;
  await until(
    "nothing is wrong",
    async () => {
      shown = await mesh.json(0, "status");
      return shown?.problems.length === 0;
    },
    30_000,
    () => JSON.stringify(shown),
  );
  expect(shown).toMatchObject({ epoch: 2, trustSequence: 3, healthy: true, problems: [] });
  for (const one of [mesh.up, echo.process, front.process]) expect(warningsOf(one)).toEqual([]);
  // the next statement about the heads of the logs comes within seconds
  const health = async (): Promise<string> => (await fetch(`http://127.0.0.1:${statusPort}/healthz`)).text();
  await until("the proxy says ok and nothing else", async () => (await health()) === "ok\n");
}, 60_000);

test("an activation that the dropped key signs afterwards is refused by every proxy and the control plane, and they say why", async () => {
  const head = await bus.directGet(streamOf.activations, { lastOf: "ashlar.log.activations.*" });
  if (head === undefined) throw new Error("no activation");
  const { body, digest } = verifyActivation(head.data, "test", new Map(), () => true);
  const forged = signActivation({ ...body, epoch: 3, previous: digest, reason: "stolen key" }, "test", oldKey);
  await bus.append(ingestSubject("activations", 3), forged.bytes);
  for (const proxy of [echo, front])
    await until("the proxy says so", () =>
      /signed by a key that is not trusted/.test(proxy.process.stdout + proxy.process.stderr),
    );
  await until("the control plane says so", async () =>
    /trusted no more/.test(JSON.stringify((await mesh.json(0, "status")).problems)),
  );
  await evaluating(2);
});

test("a control plane that restarts goes on with the new key; a proxy that was away meanwhile catches up, old revision and all", async () => {
  loading = false;
  await load;
  await front.process.stop();
  await mesh.up.stop();
  await mesh.startUp().said("ready");
  expect(await mesh.json(0, "status")).toMatchObject({ epoch: 2, trustSequence: 3 });
  await mesh.apply(services, "--force");
  const rotated = await mesh.json(0, "trust", "rotate");
  await mesh.json(0, "rollback", "--to", "1");
  await mesh.json(0, "trust", "drop", rotated.previousKid);
  front.start();
  await front.process.said("ready");
  await evaluating(5);
  await until("front calls echo again", async () => (await client.unary({ text: "?" })).code === status.OK);
  expect((await mesh.cli("audit", "verify")).code).toBe(0);
}, 60_000);
