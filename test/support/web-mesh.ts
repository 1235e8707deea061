/** A mesh with an echo service behind a gateway for web clients. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "@jest/globals";
import { services } from "./echo-policy.js";
import { echoDescriptorBytes } from "./echo-schema.js";
import { TestMesh } from "./mesh.js";
import { cliPath, TestProcess } from "./processes.js";

export interface WebMesh {
  readonly mesh: TestMesh;
  readonly gateway: TestProcess;
  /** The addresses "HOST:PORT", by listener. */
  readonly addresses: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const methods = "[test.Echo/Unary, test.Echo/ServerStream, test.Echo/ClientStream, test.Echo/Bidi]";

/** Returns the policy. `listeners`: the YAML of the gateway's listeners, without `expose` for the echo service. */
export const webPolicy = (
  listeners: string,
): string => `${services.replace("name: echo\n", "name: echo\nnoSideEffects: [test.Echo/Unary]\n")}---
kind: JwtIssuer
name: accounts
audiences: [shop]
---
kind: Authorization
name: from-outside
service: echo
allow:
  - from: [gateway/public]
    methods: ${methods.replace(", test.Echo/Bidi", "")}
---
kind: Gateway
name: public
listeners:
${listeners}
`;

/** A listener that exposes the echo service. `more`: further fields, in YAML's flow style. */
export const webListener = (name: string, more = ""): string =>
  `  - { name: ${name}, protocols: [grpc, grpc-web, connect], expose: [{ service: echo, methods: ${methods} }], callers: { anyone: true }${more} }`;

export async function startWebMesh(policy: string, flags: (dir: string) => readonly string[]): Promise<WebMesh> {
  const mesh = await TestMesh.start();
  return fillWebMesh(mesh, policy, flags).catch(async (error: unknown) => {
    await mesh.stop(); // its processes would outlive the tests
    throw error;
  });
}

async function fillWebMesh(
  mesh: TestMesh,
  policy: string,
  flags: (dir: string) => readonly string[],
): Promise<WebMesh> {
  const echo = await mesh.proxy({ name: "echo", service: "echo" });
  await mesh.app(echo, "echo");
  await mesh.apply(policy);
  await mesh.healthy("echo", 1);
  const made = await mesh.json(0, "token", "--gateway", "public");
  expect(made).toMatchObject({ gateway: "public" });
  writeFileSync(join(mesh.dir, "gateway.token"), made.token);
  writeFileSync(join(mesh.dir, "echo.binpb"), echoDescriptorBytes());
  const gateway = new TestProcess("gateway", process.execPath, [
    ...[cliPath, "gateway", "--name", "public", "--token", join(mesh.dir, "gateway.token")],
    ...["--join", join(mesh.data, "join.json"), "--data", join(mesh.dir, "gateway"), ...flags(mesh.dir)],
  ]);
  await gateway.said("ready");
  const found = [...gateway.stdout.matchAll(/(\w+)=(\S+)/g)].map(([, name, address]) => [name, address]);
  return {
    ...{ mesh, gateway, addresses: Object.fromEntries(found) },
    async stop() {
      await gateway.stop();
      await mesh.stop();
    },
  };
}
