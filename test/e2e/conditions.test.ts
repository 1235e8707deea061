/** A condition from a policy file to the verdict of a proxy, with the processes an operator has. */
import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";

const when = `request.headers["x-region"] == "eu" && destination.labels.zone == "a" && source.address == "127.0.0.1"`;
const policy = `${services}---
kind: Authorization
name: european
service: echo
allow:
  - from: [front]
    when: ${when}
`;

let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const echo = await mesh.proxy({ name: "echo", service: "echo", flags: ["--label", "zone=a"] });
  const front = await mesh.proxy({ name: "front", service: "front" });
  await mesh.app(echo, "echo");
  await mesh.apply(policy);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
}, 90_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

async function call(region: string | undefined): Promise<number> {
  const metadata = new Metadata();
  if (region !== undefined) metadata.set("x-region", region);
  return (await client.unary({ text: "hello" }, { metadata })).code;
}

test("a call is allowed where its condition holds, call by call", async () => {
  const { OK, PERMISSION_DENIED } = status;
  const codes: number[] = [];
  for (const region of ["eu", "us", undefined, "eu"]) codes.push(await call(region));
  expect(codes).toEqual([OK, PERMISSION_DENIED, PERMISSION_DENIED, OK]);
});

test("a condition that does not type-check is refused at its place, and the old one stays in force", async () => {
  const done = await mesh.cli("apply", "-f", mesh.policy("bad.yaml", policy.replace("destination.labels", "labels")));
  expect(done.code).toBe(1);
  expect(done.stderr).toMatch(/bad\.yaml:\d+:50: .*there is no variable "labels"/);
  expect(await call("eu")).toBe(status.OK);
});

test("can answers with headers, and names the condition without", async () => {
  const pair = ["front", "echo/test.Echo/Unary"];
  const without = await mesh.json(0, "can", ...pair);
  expect(without).toMatchObject({ allowed: false, reason: expect.stringContaining(when) });
  const simple = policy.replace(when, `request.headers["x-region"] == "eu"`);
  const diff = await mesh.json(0, "diff", "-f", mesh.policy("simple.yaml", simple));
  expect(diff.access[0]).toMatchObject({ caller: "front", change: "changes", before: when });
  await mesh.apply(simple);
  expect(await mesh.json(0, "can", ...pair, "--header", "x-region=eu")).toMatchObject({ allowed: true });
  expect(await mesh.json(0, "can", ...pair, "--header", "x-region=us")).toMatchObject({ allowed: false });
  expect(await call("eu")).toBe(status.OK);
});
