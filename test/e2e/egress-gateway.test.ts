/** Calls that leave the mesh through a gateway, so that a firewall has one address to let out: enforced on both sides. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { outsideCa, Providers, pem } from "../support/outside-provider.js";
import { cliPath, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const policy = (methods = "test.Echo/Unary, test.Echo/ServerStream", more = ""): string => `
kind: Service
name: front
---
kind: Service
name: stranger
---
kind: Egress
name: cards
methods: [test.Echo/Unary, test.Echo/ServerStream]
---
kind: Authorization
name: cards
service: cards
allow:
  - from: [front]
    methods: [${methods}]
${more}`;

const limit = `---
kind: RateLimit
name: cards
service: cards
limits: [{ methods: ["*"], rate: 2/h, burst: 2 }]
`;

const providers = new Providers();
const { seen } = providers;
const clients: EchoClient[] = [];
let mesh: TestMesh;
let front: TestProxy;
let stranger: TestProxy;
let gateway: TestProcess;
let port = 0;

function client(proxy: TestProxy): EchoClient {
  const made = new EchoClient(proxy.outbound, "cards");
  clients.push(made);
  return made;
}

const set = (...flags: string[]) =>
  mesh.json(
    0,
    ...["egress", "set", "cards", "--address", `127.0.0.1:${port}`, "--server-name", "cards.example"],
    ...["--ca", join(mesh.dir, "ca.pem"), "--allow-address", "127.0.0.1/32", ...flags],
  );

async function answered(code: number, text: RegExp, proxy = front): Promise<Awaited<ReturnType<EchoClient["unary"]>>> {
  const caller = client(proxy);
  let last = await caller.unary({ text: "x" });
  await until(
    `${code} ${text}`,
    async () => {
      last = await caller.unary({ text: "x" });
      return last.code === code && text.test(last.details);
    },
    20_000,
    () => `${last.code} ${last.details}`,
  );
  return last;
}

function startGateway(): TestProcess {
  return new TestProcess("gateway", process.execPath, [
    ...[cliPath, "gateway", "--name", "out", "--token", join(mesh.dir, "out.token")],
    ...["--join", join(mesh.data, "join.json"), "--data", join(mesh.dir, "out"), "--egress", "127.0.0.1:0"],
  ]);
}

beforeAll(async () => {
  mesh = await TestMesh.start();
  writeFileSync(join(mesh.dir, "ca.pem"), pem(outsideCa));
  front = await mesh.proxy({ name: "front", service: "front" });
  stranger = await mesh.proxy({ name: "stranger", service: "stranger" });
  port = await providers.start("cards", "cards.example");
  await mesh.apply(policy());
  const { token } = await mesh.json(0, "token", "--gateway", "out");
  writeFileSync(join(mesh.dir, "out.token"), token);
}, 90_000);

afterAll(async () => {
  for (const one of clients) one.close();
  providers.close();
  await gateway?.stop();
  await mesh?.stop();
}, 60_000);

test("without the gateway nothing leaves, not from the caller's own proxy either", async () => {
  await set("--through", "out");
  await answered(status.UNAVAILABLE, /no gateway out is there, through which cards is called/);
  expect(seen).toEqual([]);
}, 60_000);

test("calls go out through it, with nothing of the mesh's own, and its revision comes back", async () => {
  gateway = startGateway();
  await gateway.said("ready");
  await answered(status.OK, /^OK$/);
  seen.length = 0;
  const metadata = new Metadata();
  metadata.set("x-sent", "kept");
  const { response, trailers } = await client(front).unary({ text: "hello" }, { metadata });
  expect([response?.text, trailers.get("x-own"), trailers.get("ashlar-decision")]).toEqual(["hello", ["kept"], []]);
  expect(trailers.get("ashlar-revision")).toEqual(["1"]);
  expect(seen.map(({ authority }) => authority)).toEqual([`cards.example:${port}`]);
  expect(Object.keys(seen[0]?.fields ?? {}).filter((name) => name.startsWith("ashlar"))).toEqual([]);
  expect(seen[0]?.fields["x-sent"]).toBe("kept");
}, 60_000);

test("the gateway judges who calls what, and records it", async () => {
  seen.length = 0;
  const stopped = await answered(status.PERMISSION_DENIED, /^denied \(decision \S+, revision 1\)$/, stranger);
  const unstated = await client(front).unary({ text: "x" }, { method: "Forbidden" });
  expect(unstated.code).toBe(status.PERMISSION_DENIED);
  expect(seen).toEqual([]);
  const id = String(stopped.trailers.get("ashlar-decision")[0]);
  await until("the refusal is recorded", async () => (await mesh.cli("explain", id)).code === 0);
  expect(await mesh.json(0, "explain", id)).toMatchObject({
    ...{ service: "cards", caller: "spiffe://test/service/stranger", direction: "egress", proxyService: "gateway/out" },
  });
}, 60_000);

test("limits are counted at the gateway, for all callers together", async () => {
  await mesh.apply(policy(undefined, limit));
  const caller = client(front);
  const codes: number[] = [];
  for (let call = 0; call < 3; call++) codes.push((await caller.unary({ text: "x" })).code);
  expect(codes).toEqual([status.OK, status.OK, status.RESOURCE_EXHAUSTED]);
  await mesh.apply(policy());
}, 60_000);

test("doctor tells of an egress without a gateway, and of none with it", async () => {
  const found = async (): Promise<readonly string[]> => {
    const { stdout } = await mesh.cli("doctor", "-o", "json");
    return JSON.parse(stdout).findings.map(({ code, subject }: Record<string, string>) => `${code} ${subject}`);
  };
  expect((await found()).filter((one) => one.startsWith("egress"))).toEqual([]);
  await set();
  expect((await found()).filter((one) => one.startsWith("egress"))).toEqual(["egress-on-one-side cards"]);
  await answered(status.OK, /^OK$/);
}, 60_000);

test("a gateway lets out only what the trust log sends through it", async () => {
  await set("--through", "another");
  await answered(status.UNAVAILABLE, /no gateway another is there/);
  await set("--through", "out");
  await answered(status.OK, /^OK$/);
}, 60_000);

test("I10: what policy takes away ends on open streams at the gateway, and a gateway that stops says so", async () => {
  const ended = (caller: EchoClient): Promise<number> =>
    new Promise((resolve) => {
      const stream = caller.serverStream({ count: 1 });
      stream.on("data", () => {});
      stream.on("error", (error: { readonly code?: number }) => resolve(error.code ?? -1));
    });
  const open = ended(client(front));
  await until("the stream is there", async () => (await client(front).unary({ text: "x" })).code === status.OK);
  await mesh.apply(policy("test.Echo/Unary"));
  expect(await open).toBe(status.PERMISSION_DENIED);
  expect(await gateway.stop()).toBe(0);
  await answered(status.UNAVAILABLE, /no gateway out is there|is reached/);
}, 60_000);
