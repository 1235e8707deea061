/** A gateway behind others: a balancer that speaks PROXY protocol, hops that write x-forwarded-for, and liars. */

import { writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { extendedUsage } from "../support/certificates.js";
import { services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { outsideCa, outsideLeaf, pem } from "../support/outside-provider.js";
import { cliPath, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const policy = `${services}---
kind: Authorization
name: from-outside
service: echo
allow:
  - from: [gateway/public]
---
kind: Gateway
name: public
listeners:
  - name: web
    expose: [{ service: echo, methods: [test.Echo/Unary] }]
    callers: { anyone: true }
    limits: { callsPerAddress: 1/h }
`;
let mesh: TestMesh;
const gateways: TestProcess[] = [];
const sockets: Socket[] = [];

async function gateway(...flags: string[]): Promise<number> {
  const name = `gateway-${gateways.length}`;
  const { token } = await mesh.json(0, "token", "--gateway", "public");
  writeFileSync(join(mesh.dir, `${name}.token`), token);
  const started = new TestProcess(name, process.execPath, [
    ...[cliPath, "gateway", "--name", "public", "--token", join(mesh.dir, `${name}.token`)],
    ...["--join", join(mesh.data, "join.json"), "--data", join(mesh.dir, name), "--listener", "web=127.0.0.1:0"],
    ...["--cert", `web=${join(mesh.dir, "tls.crt")},${join(mesh.dir, "tls.key")}`, ...flags],
  ]);
  gateways.push(started);
  await started.said("ready");
  return Number(/web=127\.0\.0\.1:(\d+)/.exec(started.stdout)?.[1]);
}

/** A session on a connection whose first bytes are `first`. */
function open(port: number, first?: Buffer): ClientHttp2Session {
  const raw = connect(port, "127.0.0.1");
  sockets.push(raw);
  if (first !== undefined) raw.write(first);
  const session = connectHttp2("https://shop.example", {
    createConnection: () =>
      connectTls({ socket: raw, servername: "shop.example", ca: pem(outsideCa), ALPNProtocols: ["h2"] }),
  });
  session.on("error", () => {});
  return session;
}

/** Makes a call. Returns its status and the x-forwarded-for that the service saw, or "closed". */
function call(
  session: ClientHttp2Session,
  forwarded?: string,
  path = "/test.Echo/Unary",
): Promise<readonly [string, string] | "closed"> {
  return new Promise((resolve) => {
    session.on("close", () => resolve("closed"));
    const request = session.request({
      ...{ ":method": "POST", ":path": path, ":authority": "shop.example" },
      ...{ "content-type": "application/grpc", te: "trailers" },
      ...(forwarded === undefined ? {} : { "x-forwarded-for": forwarded }),
    });
    let seen = "";
    request.on("response", (fields) => {
      seen = String(fields["x-seen-x-forwarded-for"] ?? "");
      if (fields["grpc-status"] !== undefined) resolve([String(fields["grpc-status"]), seen]);
    });
    request.on("trailers", (fields) => resolve([String(fields["grpc-status"]), seen]));
    request.on("error", () => resolve("closed"));
    request.resume();
    request.end(Buffer.alloc(5));
  });
}

/** The first answer of a gateway that has a revision to judge by: until then it is 14, which takes no token of a limit. */
async function first(make: () => ReturnType<typeof call>): ReturnType<typeof call> {
  let last: Awaited<ReturnType<typeof call>> = "closed";
  await until("the gateway judges", async () => {
    last = await make();
    return last[0] !== "14";
  });
  return last;
}

/** A header of PROXY protocol v2 for a client at this IPv4 address. */
const header = (...address: readonly number[]): Buffer =>
  Buffer.concat([
    Buffer.from("0d0a0d0a000d0a515549540a2111000c", "hex"),
    Buffer.from([...address, 127, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb]),
  ]);

beforeAll(async () => {
  mesh = await TestMesh.start();
  const echo = await mesh.proxy({ name: "echo", service: "echo" });
  await mesh.app(echo, "echo");
  await mesh.apply(policy);
  await mesh.healthy("echo", 1);
  const certificate = outsideLeaf(extendedUsage.server, "shop.example");
  writeFileSync(join(mesh.dir, "tls.crt"), pem(certificate));
  writeFileSync(join(mesh.dir, "tls.key"), certificate.keyPem);
}, 90_000);

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all(gateways.map((one) => one.stop()));
  await mesh?.stop();
}, 60_000);

test("a balancer says by PROXY protocol whom it passes on; limits count that address", async () => {
  const port = await gateway("--proxy-protocol-from", "127.0.0.1/32");
  expect(await first(() => call(open(port, header(93, 184, 216, 34)), "1.1.1.1"))).toEqual(["0", "93.184.216.34"]);
  expect(await call(open(port, header(93, 184, 216, 34)))).toEqual(["8", ""]);
  expect(await call(open(port, header(93, 184, 216, 35)))).toEqual(["0", "93.184.216.35"]);
  expect(await call(open(port))).toBe("closed"); // a listed balancer has to say it
}, 60_000);

test("who is not listed is not believed: its header is no TLS, and what it forwards is dropped", async () => {
  const port = await gateway("--proxy-protocol-from", "10.0.0.0/8", "--forwarded-from", "10.0.0.0/8");
  expect(await call(open(port, header(93, 184, 216, 34)))).toBe("closed");
  expect(await first(() => call(open(port), "93.184.216.34"))).toEqual(["0", "127.0.0.1"]);
}, 60_000);

test("a balancer that may ask is told that a listener serves, others are told of no such method", async () => {
  const health = "/grpc.health.v1.Health/Check";
  const flags = ["--host", "web=other.example", "--health-from"];
  const asked = async (...more: string[]) => {
    const port = await gateway(...more);
    return first(() => call(open(port), undefined, health));
  };
  expect(await asked(...flags, "127.0.0.1/32")).toEqual(["0", ""]);
  expect(await asked("--health-from", "10.0.0.0/8")).toEqual(["12", ""]);
}, 60_000);

test("listed hops append to x-forwarded-for, and limits count the client behind them", async () => {
  const port = await gateway("--forwarded-from", "127.0.0.1/32");
  const session = open(port);
  expect(await first(() => call(session, "1.1.1.1, 93.184.216.34"))).toEqual(["0", "93.184.216.34, 127.0.0.1"]);
  expect(await call(session, "3.3.3.3, 93.184.216.34")).toEqual(["8", ""]);
  expect(await call(session, "93.184.216.35")).toEqual(["0", "93.184.216.35, 127.0.0.1"]);
}, 60_000);
