/** Reads that go from an application to the destination's proxy, with real processes. */
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { type Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { AgentServiceClient, type FollowDirectResponse } from "../../proto/gen/ashlar/v1/agent.js";
import { toPem } from "../../runtime/tls-identity-keys.js";
import { buildCertificateRequest } from "../../sdk/direct/certificate-request.js";
import { type DirectStatus, join, type Mesh } from "../../sdk/index.js";
import { EchoClient } from "../support/echo-client.js";
import { freePorts } from "../support/free-ports.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { until } from "../support/until.js";

const proxied = `kind: Service
name: front
---
kind: Service
name: echo
noSideEffects: [test.Echo/Unary, test.Echo/ServerStream]
---
kind: Authorization
name: front-calls-echo
service: echo
allow: [{ from: [front], methods: ["test.Echo/*"] }]
---
kind: Journal
name: books
service: echo
methods: [test.Echo/Forbidden]
mode: before
response: bytes
`;
const direct = `${proxied}reads: direct\n`;

let mesh: TestMesh;
let front: TestProxy;
let application: Mesh;
let client: EchoClient;
let status = 0;
const heard: DirectStatus[] = [];

beforeAll(async () => {
  mesh = await TestMesh.start();
  [status = 0] = await freePorts(1);
  const [echo, beside] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo", flags: ["--workers", "2"] }),
    mesh.proxy({ name: "front", service: "front", flags: ["--status", `127.0.0.1:${status}`] }),
  ]);
  front = beside;
  await mesh.app(echo, "echo");
  await mesh.apply(proxied);
  await mesh.healthy("echo", 1);
  application = await join({ service: "front", agent: front.agent });
  const [address, channel, options] = application.direct("echo", { onStatus: (told) => void heard.push(told) });
  client = new EchoClient(address, "echo", channel, options);
}, 120_000);

afterAll(async () => {
  client?.raw.close();
  await application?.leave({ timeoutMs: 1000 });
  await mesh?.stop();
}, 60_000);

/** How many calls the proxy beside the application has carried for it. */
async function carried(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${status}/metrics`)).text();
  return text
    .split("\n")
    .filter((line) => line.startsWith("ashlar_calls_total{") && line.includes('direction="outbound"'))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

const isDirect = (): boolean => heard.at(-1)?.kind === "direct";

/** A certificate as whoever stole the way to the agent's socket would get it, and where to go with it. */
async function steal(): Promise<{ where: FollowDirectResponse; key: Buffer; chain: Buffer }> {
  const agent = new AgentServiceClient(front.agent, credentials.createInsecure());
  try {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const csr = buildCertificateRequest(createPrivateKey(privateKey.export({ format: "pem", type: "pkcs8" })));
    const chain = await new Promise<Buffer[]>((resolve, reject) =>
      agent.issueDirect({ csr }, (error, answer) => (error ? reject(error) : resolve(answer.certificateChain))),
    );
    const call = agent.followDirect({ service: "echo" });
    call.on("error", () => {});
    const where = await new Promise<FollowDirectResponse>((resolve) => call.once("data", resolve));
    call.cancel();
    const key = Buffer.from(privateKey.export({ format: "pem", type: "pkcs8" }).toString());
    return { where, key, chain: Buffer.from(toPem(chain)) };
  } finally {
    (agent as unknown as Client).close();
  }
}

test("without reads: direct the same client goes by the local proxy, and nobody gets a certificate", async () => {
  expect((await client.unary({ text: "a" })).code).toBe(0);
  await until("it is said why", async () => heard.some(({ kind }) => kind === "proxied"));
  expect(heard.at(-1)).toEqual({ kind: "proxied", reason: "no Journal of echo has reads: direct" });
  expect(await carried()).toBe(1);
  await expect(steal()).rejects.toMatchObject({ code: 7, details: expect.stringContaining("reads: direct") });
});

test("publishing it warns of what is given up; then reads pass no proxy of the caller, and writes do", async () => {
  const applied = await mesh.json(0, "apply", "-f", mesh.policy("direct.yaml", direct), "--wait");
  expect(applied.findings).toContainEqual(
    expect.objectContaining({
      severity: "warning",
      line: 19,
      message: expect.stringContaining("pass no proxy of their caller"),
    }),
  );
  await until("reads go directly", async () => isDirect(), 60_000);
  const before = await carried();
  for (let n = 0; n < 10; n++) {
    const { code, response, details } = await client.unary({ text: `${n}` });
    expect([code, details, response?.text]).toEqual([0, expect.anything(), `${n}`]);
    expect(response?.caller).toBe("spiffe://test/service/front");
  }
  expect(await carried()).toBe(before);
  const write = await client.unary({ text: "w" }, { method: "Forbidden" });
  expect([write.code, write.trailers.get("ashlar-sequence")]).toEqual([0, ["1"]]);
  expect(await carried()).toBe(before + 1);
});

test("doctor lists the service and the application that holds a certificate", async () => {
  const found = await mesh.json(1, "doctor");
  expect(found.findings).toContainEqual(
    expect.objectContaining({
      code: "reads-go-direct",
      subject: "echo",
      message: expect.stringMatching(/front \(front-[a-z2-7]+\)/),
    }),
  );
});

test("a stolen certificate reads from another process, and does nothing else", async () => {
  const { where, key, chain } = await steal();
  const [{ address } = { address: "" }] = where.endpoints;
  const roots = Buffer.from(where.roots.join("\n"));
  const channel = credentials.createSsl(roots, key, chain, { checkServerIdentity: () => undefined });
  const thief = new EchoClient(address, "echo", channel);
  expect((await thief.unary({ text: "read" })).response?.text).toBe("read");
  const written = await thief.unary({ text: "write" }, { method: "Forbidden" });
  expect([written.code, written.details]).toEqual([
    7,
    expect.stringMatching(/^only reads that a Journal lets go direct/),
  ]);
  thief.raw.close();
  const decision = String(written.trailers.get("ashlar-decision")[0]);
  await until("it is explained", async () =>
    (await mesh.cli("explain", decision)).stdout.includes("direct from the application of front-"),
  );
});

test("I10: when policy takes it away the open read ends, and the next ones go by the local proxy", async () => {
  const open = client.serverStream({ text: "open", count: 100_000, delay_ms: 50 });
  const ended = new Promise<ServiceError>((resolve) => open.on("error", resolve));
  await new Promise((resolve) => open.once("data", resolve));
  await mesh.apply(proxied);
  expect(await ended).toMatchObject({ code: 7, details: expect.stringContaining("only reads") });
  await until("reads go by the local proxy", async () => heard.at(-1)?.kind === "proxied");
  const before = await carried();
  expect((await client.unary({ text: "after" })).code).toBe(0);
  expect(await carried()).toBe(before + 1);
  await mesh.apply(direct);
  await until("reads go directly again", async () => isDirect(), 60_000);
});

test("a revoked proxy takes the certificates of its application with it, on open connections too", async () => {
  const { where, key, chain } = await steal();
  const open = client.serverStream({ text: "open", count: 100_000, delay_ms: 50 });
  const ended = new Promise<ServiceError>((resolve) => open.on("error", resolve));
  await new Promise((resolve) => open.once("data", resolve));
  const proxies = await mesh.json(0, "proxies");
  const { id } = proxies.find((one: { service: string }) => one.service === "front");
  await mesh.json(0, "revoke", id);
  expect(await ended).toMatchObject({ code: 14 });
  const [{ address } = { address: "" }] = where.endpoints;
  const channel = credentials.createSsl(Buffer.from(where.roots.join("\n")), key, chain, {
    checkServerIdentity: () => undefined,
  });
  const thief = new EchoClient(address, "echo", channel);
  expect((await thief.unary({ text: "read" }, { deadlineMs: 3000 })).code).not.toBe(0);
  thief.raw.close();
});
