/** Any revision of the log can be put back in force, however many were published since, as soon as proxies hold it again. */
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall, services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";

let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const [echo, front] = await Promise.all([
    mesh.proxy({ name: "echo1", service: "echo", version: "v1", flags: ["--workers", "2"] }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  await mesh.app(echo, "echo", "v1");
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
}, 90_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

/** Publishes a revision that allows nobody anything; `round` makes it differ from the others. */
async function publish(round: number): Promise<void> {
  const content = `${services}---\nkind: Service\nname: round-${round}\n`;
  const parts = { files: [{ name: "echo.yaml", content }], message: "", parent: undefined, allowEmpty: false };
  const { created } = await mesh.ask((admin) => admin.publishRevision(parts));
  expect(created).toBe(true);
}

const preparedBy = async (): Promise<readonly (readonly number[])[]> =>
  (await mesh.ask((admin) => admin.listProxies({}))).proxies.map(({ prepared }) => prepared);

test("40 revisions later, proxies are asked to prepare the first again, and activating it waits until they have", async () => {
  const first = frontMayCall; // published, and never in force until now
  expect(await mesh.json(0, "apply", "-f", mesh.policy("first.yaml", first), "--no-activate")).toMatchObject({
    revision: 1,
  });
  for (let round = 1; round <= 40; round += 1) await publish(round);
  expect(await mesh.json(0, "activate", "41", "--wait")).toMatchObject({ revision: 41, epoch: 1 });
  for (const prepared of await preparedBy()) expect(prepared).not.toContain(1);
  expect((await client.unary({ text: "x" })).code).toBe(status.PERMISSION_DENIED);

  expect(await mesh.json(0, "activate", "1", "--wait")).toMatchObject({ revision: 1, epoch: 2 });
  expect((await client.unary({ text: "x" })).code).toBe(status.OK);
}, 120_000);

test("a rollback to one that proxies do not hold is in force once they have fetched it", async () => {
  expect(await mesh.json(0, "rollback", "--to", "5", "--wait")).toMatchObject({ revision: 5, epoch: 3 });
  expect((await client.unary({ text: "x" })).code).toBe(status.PERMISSION_DENIED);
  expect(await mesh.json(0, "activate", "1", "--wait")).toMatchObject({ revision: 1, epoch: 4 });
  expect((await client.unary({ text: "x" })).code).toBe(status.OK);
}, 60_000);
