/** The history of a journal, sent by the command to another version behind its own proxy. */
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

const policyFor = (split: string, replayers = "replayers: [admin]"): string => `${frontMayCall}---
kind: Journal
name: echo-writes
service: echo
methods: [test.Echo/Unary]
mode: before
orderBy: request.headers["x-account"]
response: bytes
${replayers}
---
kind: Route
name: echo
service: echo
rules: [{ split: [${split}] }]
`;
const live = "{ version: v1, weight: 1 }";

let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const [v1, v2, front] = await Promise.all([
    mesh.proxy({ name: "echo-1", service: "echo", version: "v1" }),
    mesh.proxy({ name: "echo-2", service: "echo", version: "v2" }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  await Promise.all([mesh.app(v1, "echo", "v1"), mesh.app(v2, "echo", "v2")]);
  await mesh.apply(policyFor(live));
  await mesh.healthy("echo", 2);
  client = new EchoClient(front.outbound, "echo");
  for (const account of ["a", "b", "a"]) {
    const metadata = new Metadata();
    metadata.set("x-account", account);
    expect((await client.unary({ text: `to ${account}` }, { metadata, deadlineMs: 10_000 })).code).toBe(0);
  }
  await until("the outcomes are stored", async () => {
    const listed: { outcome: unknown }[] = await mesh.json(0, "journal", "list", "--service", "echo");
    return listed.length === 3 && listed.every(({ outcome }) => outcome !== null);
  });
}, 120_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

async function replay(target: string, ...flags: readonly string[]) {
  const name = `${target} ${flags.join(" ")}`.replaceAll(/\W/g, "_").replace("_o_json", "");
  const checkpoint = ["--checkpoint", join(mesh.dir, `replay-${name}.json`)];
  const done = await mesh.cli("journal", "replay", "--service", "echo", "--target", target, ...checkpoint, ...flags);
  return done;
}

test("a version that takes no live calls gets the history once, and a later run goes on from there", async () => {
  const dry = await replay("v2", "--dry-run", "-o", "json");
  expect(JSON.parse(dry.stdout)).toMatchObject({ sent: 3, applied: 3, entries: 3, dryRun: true });
  const done = await replay("v2", "-o", "json");
  expect({ code: done.code, ...JSON.parse(done.stdout) }).toMatchObject({
    code: 0,
    sent: 3,
    diverged: 0,
    complete: true,
  });
  expect(JSON.parse((await replay("v2", "-o", "json")).stdout)).toMatchObject({ sent: 0, complete: true });
  const { entries } = JSON.parse(dry.stdout) as { entries: number };
  const listed = await mesh.cli("journal", "list", "--service", "echo", "-o", "json");
  expect(JSON.parse(listed.stdout)).toHaveLength(entries); // nothing was journaled again
  const audit = await mesh.cli("audit", "-o", "json");
  expect(audit.stdout).toContain('"replay"');
}, 120_000);

test("responses of another version diverge where their bytes count: it names the write and ends with 1", async () => {
  const done = await replay("v2", "--verify");
  expect(done.code).toBe(1);
  expect(done.stdout).toMatch(/another response, \d+ bytes/);
}, 60_000);

test("the source, nobody, an address of a proxy, and an operator whom policy does not name are refused", async () => {
  const source = await replay("v1");
  expect([source.code, source.stderr]).toEqual([2, expect.stringMatching(/v1 of echo is a source of the journal/)]);
  const nobody = await replay("v3");
  expect(nobody.stderr).toMatch(/no healthy instance of echo has version v3; there are v1, v2/);
  const services = JSON.parse((await mesh.cli("services", "-o", "json")).stdout) as {
    name: string;
    endpoints: { address: string }[];
  }[];
  const address = services.find(({ name }) => name === "echo")?.endpoints[0]?.address ?? "";
  expect((await replay(address)).stderr).toMatch(/is proxy echo-.* of this mesh/);
  await mesh.apply(policyFor(live, ""));
  expect((await replay("v2")).stderr).toMatch(/operator admin may not replay echo: add it to the replayers/);
  await mesh.apply(policyFor(`${live}, { version: v2, weight: 1 }`));
  expect((await replay("v2")).stderr).toMatch(/v2 of echo is a source of the journal, because echo\/rules\[0\]/);
}, 120_000);
