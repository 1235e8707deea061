/** Policy as revisions: push, shift, refuse, roll back; who lost a race; what a bad file is told. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall, services, split } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";

let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const [one, two, front] = await Promise.all([
    mesh.proxy({ name: "echo1", service: "echo", version: "v1" }),
    mesh.proxy({ name: "echo2", service: "echo", version: "v2" }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  await Promise.all([mesh.app(one, "echo", "v1"), mesh.app(two, "echo", "v2")]);
  await mesh.healthy("echo", 2);
  client = new EchoClient(front.outbound, "echo");
}, 90_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

/** How many of `calls` each version answered. */
async function versions(calls: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let index = 0; index < calls; index += 1) {
    const done = await client.unary({ text: String(index) });
    const key = done.response?.version ?? `status ${done.code}: ${done.details}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

test("before the first activation calls are answered 14, never let through (I4)", async () => {
  expect((await client.unary({ text: "early" })).code).toBe(status.UNAVAILABLE);
});

test("a bad file is refused with every finding at its place, and nothing is stored", async () => {
  const bad = mesh.policy(
    "bad.yaml",
    `${services}---\nkind: Authorization\nname: broken\nservice: ecko\nallow:\n  - frm: [front]\n---\nkind: Nonsense\nname: x\n`,
  );
  const answer = await mesh.json(1, "apply", "-f", bad);
  expect(answer).toMatchObject({ created: false });
  const errors = answer.findings.filter((finding: { severity: string }) => finding.severity === "error");
  expect(errors.length).toBeGreaterThanOrEqual(3);
  for (const error of errors)
    expect(error).toMatchObject({
      file: expect.stringContaining("bad.yaml"),
      line: expect.any(Number),
      column: expect.any(Number),
    });
  expect(JSON.stringify(errors)).toContain("echo"); // the nearest valid name
  expect(await mesh.json(0, "log")).toEqual([]);
});

test("a revision is pushed and in force at every proxy when --wait returns", async () => {
  expect(await mesh.apply(frontMayCall, "-m", "front may call")).toMatchObject({
    created: true,
    revision: 1,
    epoch: 1,
  });
  const state = await mesh.json(0, "status");
  expect(state).toMatchObject({
    mesh: "test",
    epoch: 1,
    revision: 1,
    proxies: { total: 3, prepared: 3, active: 3, behind: 0, rejected: 0 },
  });
  expect(Object.keys(await versions(40)).sort()).toEqual(["v1", "v2"]);
});

test("the same files again make no revision", async () => {
  expect(await mesh.apply(frontMayCall)).toMatchObject({ created: false, revision: 1, epoch: 1 });
});

test("a split moves traffic: all to v1, then all to v2", async () => {
  await mesh.apply(split({ v1: 100 }), "-m", "only v1");
  expect(await versions(30)).toEqual({ v1: 30 });
  await mesh.apply(split({ v1: 0, v2: 100 }), "-m", "only v2");
  expect(await versions(30)).toEqual({ v2: 30 });
});

test("rollback pops: the revision before is in force, as a new epoch", async () => {
  const back = await mesh.json(0, "rollback", "--wait", "-m", "v2 misbehaves");
  expect(back).toMatchObject({ revision: 2, epoch: 4, rollbackOf: 3 });
  expect(back.tookMs).toBeGreaterThanOrEqual(0);
  expect(await versions(10)).toEqual({ v1: 10 });
  expect(await mesh.json(0, "rollback", "--to", "1", "--wait")).toMatchObject({ revision: 1, epoch: 5, rollbackOf: 2 });
  const again = await mesh.json(0, "activate", "3", "--wait");
  expect(again).toMatchObject({ revision: 3, epoch: 6 });
  expect(await mesh.json(0, "rollback", "--wait")).toMatchObject({ revision: 1, epoch: 7 });
});

test("taking access away closes open streams that lived on it, with 7 and the revision (I10)", async () => {
  const stream = client.bidi();
  const ended = new Promise<{ code: number; details: string }>((resolve) => stream.on("error", resolve as () => void));
  await new Promise((resolve) => {
    stream.once("data", resolve);
    stream.write({ text: "open" });
  });
  const { revision } = await mesh.apply(services, "-m", "nobody may call");
  const { code, details } = await ended;
  expect(code).toBe(status.PERMISSION_DENIED);
  expect(details).toContain(`revision ${revision}`);
  expect((await client.unary({ text: "x" })).code).toBe(status.PERMISSION_DENIED);
  await mesh.json(0, "rollback", "--wait");
  expect((await client.unary({ text: "x" })).code).toBe(status.OK);
});

test("whoever names a parent that is not the head was not first", async () => {
  const file = mesh.policy("race.yaml", split({ v1: 50, v2: 50 }));
  const lost = await mesh.cli("apply", "-f", file, "--parent", "1");
  expect(lost.code).toBe(1);
  expect(lost.stderr + lost.stdout).toMatch(/head/);
  expect(lost.stderr).not.toMatch(/\n\s+at /); // no stack trace
});

test("diff, show, log, can and audit tell the same story", async () => {
  const diff = await mesh.cli("diff", "1", "3");
  expect(diff.code).toBe(0);
  expect(diff.stdout).toContain("Route");
  const shown = await mesh.cli("show", "3", "-o", "yaml");
  const same = await mesh.json(0, "apply", "-f", mesh.policy("shown.yaml", shown.stdout), "--dry-run");
  expect(same.findings.filter((finding: { severity: string }) => finding.severity === "error")).toEqual([]);
  const log: { number: number; active: boolean; message: string }[] = await mesh.json(0, "log");
  expect(log.map((entry) => entry.number)).toEqual([4, 3, 2, 1]);
  expect(log.filter((entry) => entry.active).map((entry) => entry.number)).toEqual([1]);
  const audit: { action: string }[] = await mesh.json(0, "audit");
  for (const action of ["publish", "activate", "rollback", "token", "join"])
    expect(audit.map((entry) => entry.action)).toContain(action);
  expect((await mesh.cli("audit", "verify")).code).toBe(0);
});

test.each([
  ["what is done", 0, ["status", "-o", "json"]],
  ["what is refused", 1, ["show", "99"]],
  ["what is used wrongly", 2, ["rollback", "--to", "many"]],
  ["what cannot be reached", 3, ["--context", "elsewhere.json", "status"]],
])("a command says the same in a process of its own, as people run it: %s", async (_, code, words) => {
  const elsewhere = { ...JSON.parse(readFileSync(join(mesh.data, "admin.json"), "utf8")), admin: "127.0.0.1:1" };
  const path = mesh.policy("elsewhere.json", JSON.stringify(elsewhere));
  const given = words.map((word) => (word === "elsewhere.json" ? path : word));
  const alone = await mesh.cliProcess(...given);
  expect(alone.code).toBe(code);
  expect(await mesh.cli(...given)).toEqual(alone);
});
