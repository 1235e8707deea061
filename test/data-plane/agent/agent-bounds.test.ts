/** What an application may take of its proxy's agent socket. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, ServerCredentials, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { agentBounds, agentDefaults, createAgentService } from "../../../data-plane/agent/agent-service.js";
import { AppRegistry } from "../../../data-plane/agent/app-registry.js";
import { AgentServiceClient } from "../../../proto/gen/ashlar/v1/agent.js";
import { systemClock } from "../../../runtime/clock.js";
import { type GrpcServer, startGrpcServer } from "../../../runtime/grpc-server.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock } from "../../support/manual-clock.js";
import { until } from "../../support/until.js";

let dir: string;
let agent: GrpcServer;
let clock: ManualClock;
const warnings: string[] = [];
const path = (): string => join(dir, "agent.sock");

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "agent-"));
  clock = new ManualClock();
  const about = { mesh: "test", service: "bytes", version: "v1", proxyId: "p", outbound: "", socketDir: dir };
  const describeProxy = () => ({ ...about, spiffeId: "spiffe://test/service/bytes", ready: true });
  const log = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  const deps = {
    registry: new AppRegistry(),
    clock,
    describe: describeProxy,
    log,
    direct: { follow: async function* () {}, issue: async () => [] },
  };
  agent = await startGrpcServer({
    bind: `unix:${path()}`,
    credentials: ServerCredentials.createInsecure(),
    services: [createAgentService({ ...deps, drained: async () => {} })],
    ...agentBounds,
    log,
    clock: systemClock,
  });
});
afterEach(async () => {
  await agent.stop(0);
  rmSync(dir, { recursive: true, force: true });
});

test("connections have a bound: those too many are refused, and those that are there are served", async () => {
  expect(statSync(path()).mode & 0o777).toBe(0o600);
  const client = new AgentServiceClient(`unix:${path()}`, credentials.createInsecure());
  const ask = () =>
    new Promise((resolve, reject) => {
      client.describe({}, (error, answer) => (error === null ? resolve(answer.proxyId) : reject(error)));
    });
  expect(await ask()).toBe("p");
  const sockets: Socket[] = Array.from({ length: 3 * agentBounds.connectionsMax }, () => connect(path()));
  for (const socket of sockets) socket.on("error", () => {}).resume();
  const open = () => sockets.filter((socket) => !socket.destroyed).length;
  await until("those too many are gone", () => open() === agentBounds.connectionsMax - 1);
  expect(await ask()).toBe("p");
  expect(warnings).toEqual([expect.stringMatching(/more than 64 connections at once/)]);
  for (const socket of sockets) socket.destroy();
  client.close();
});

test("who opens a registration and does not say which application it is gives its place back", async () => {
  const client = new AgentServiceClient(`unix:${path()}`, credentials.createInsecure());
  const open = (): Promise<{ code: number; details: string }> => {
    const stream = client.register();
    stream.on("error", () => {});
    stream.on("data", () => {});
    return new Promise((resolve) => void stream.on("status", resolve));
  };
  const silent = Array.from({ length: agentDefaults.registrationsMax }, open);
  expect((await open()).code).toBe(status.RESOURCE_EXHAUSTED);
  await clock.advance(agentDefaults.firstMessageMsMax);
  for (const { code, details } of await Promise.all(silent))
    expect([code, details]).toEqual([status.DEADLINE_EXCEEDED, "no registration within 30 s"]);
  const next = open();
  await until("it has its place", () => clock.sleeping === 1);
  await clock.advance(agentDefaults.firstMessageMsMax);
  expect((await next).code).toBe(status.DEADLINE_EXCEEDED);
  client.close();
});

test("a registration is short: a long message ends its stream, whole or not", async () => {
  const client = new AgentServiceClient(`unix:${path()}`, credentials.createInsecure());
  const stream = client.register();
  stream.on("error", () => {});
  const ended = new Promise<{ code: number }>((resolve) => void stream.on("status", resolve));
  const value = { service: "bytes", address: "unix:/x", instance: "x".repeat(agentBounds.messageBytesMax) };
  stream.write({ message: { $case: "registration", value } });
  expect((await ended).code).toBe(status.RESOURCE_EXHAUSTED);
  client.close();

  const session = connectHttp2("http://localhost", { createConnection: () => connect(path()) });
  const request = session.request({
    ":method": "POST",
    ":path": "/ashlar.v1.AgentService/Register",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const code = new Promise((resolve) => request.once("response", (fields) => resolve(fields["grpc-status"])));
  request.on("error", () => {}).write(Buffer.from([0, 0, 16, 0, 0])); // says 1 MiB, and sends none of it
  expect(await code).toBe(String(status.RESOURCE_EXHAUSTED));
  session.destroy();
});
