/** Files out of a mesh and policy from one mesh to another, with the commands that people use. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { TestMesh } from "../support/mesh.js";

const policy = (method: string) => `
{kind: Service, name: payments, methods: [a.B/One, a.B/Two]}
---
{kind: Service, name: checkout}
---
kind: Authorization
name: callers
service: payments
allow: [{from: [checkout], methods: [${method}]}]
---
kind: Route
name: payments
service: payments
rules: [{match: {headers: {"x-beta": "1"}}, split: [{version: v2, weight: 100}]}, {timeout: 2s}]
`;

let staging: TestMesh;
let production: TestMesh;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ash-gitops-"));
  [staging, production] = await Promise.all([TestMesh.start("staging.test"), TestMesh.start("production.test")]);
}, 120_000);
afterAll(async () => {
  await Promise.all([staging.stop(), production.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

test("an export applied makes no new revision, and the mesh does not drift from it", async () => {
  const { revision } = await staging.apply(policy("a.B/One"));
  const out = join(folder, "policy");
  expect((await staging.cli("export", String(revision), "-o", out)).code).toBe(0);
  expect(await staging.json(0, "apply", "-f", out)).toMatchObject({ created: false, revision });
  expect(await staging.json(0, "drift", "-f", out)).toMatchObject({ drift: false });
  expect(await staging.json(0, "apply", "-f", out, "--dry-run")).toMatchObject({
    wouldCreate: false,
    parent: revision,
  });
  writeFileSync(join(out, "more.yaml"), "kind: Service\nname: cart\n");
  const drift = await staging.json(1, "drift", "-f", out);
  expect(drift).toMatchObject({ drift: true, objects: [{ change: "removed", kind: "Service", name: "cart" }] });
});

test("a bundle brings the same digest to another mesh, and proves two meshes alike", async () => {
  const file = join(folder, "release.ashlar");
  await staging.apply(policy('"*"'), "-m", "all of it");
  expect((await staging.cli("export", "--bundle", file)).code).toBe(0);
  expect(await production.json(1, "drift", "--against", file)).toMatchObject({ drift: true, revision: 0 });
  const imported = await production.json(0, "import", file, "--wait");
  expect(imported).toMatchObject({ created: true, revision: 1, from: { mesh: "staging.test", revision: 2 } });
  const newest = async (mesh: TestMesh) => (await mesh.json(0, "log"))[0];
  const [here, there] = [await newest(production), await newest(staging)];
  expect(here.snapshot).toBe(there.snapshot);
  expect(here).toMatchObject({ number: 1, author: "spiffe://production.test/operator/admin" });
  expect(await production.json(0, "drift", "--against", file)).toMatchObject({ drift: false });
  expect(await production.json(0, "can", "checkout", "payments/a.B/Two")).toMatchObject({ allowed: true });
  await staging.cli("rollback");
  expect(await staging.json(1, "drift", "--against", file)).toMatchObject({ drift: true, revision: 1 });
});

test("what a proxy runs is a side of a diff", async () => {
  const proxy = await staging.proxy({ name: "p", service: "payments" });
  await staging.json(0, "wait");
  const [{ id }] = await staging.json(0, "proxies");
  expect((await staging.json(0, "diff", "--proxy", id)).objects).toEqual([]);
  expect((await staging.json(0, "diff", "--proxy", id, "2")).objects).toMatchObject([{ name: "callers" }]);
  await proxy.process.stop();
});

test("the audit log exported is verified with the mesh away, and a changed line is found", async () => {
  const file = join(folder, "audit.jsonl");
  expect(await staging.json(0, "audit", "verify")).toMatchObject({ chainHolds: true, problems: [] });
  expect((await staging.cli("audit", "export", "-o", file)).code).toBe(0);
  const { rootHash } = JSON.parse(readFileSync(join(staging.data, "admin.json"), "utf8")) as { rootHash: string };
  await staging.up.stop();
  const verify = (path: string) => production.cli("audit", "verify", path, "--root-hash", rootHash, "-o", "json");
  const whole = await verify(file);
  expect([whole.code, JSON.parse(whole.stdout)]).toMatchObject([0, { chainHolds: true, heads: 1 }]);
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  writeFileSync(file, `${lines.filter((_, index) => index !== 2).join("\n")}\n`);
  const cut = await verify(file);
  expect([cut.code, JSON.parse(cut.stdout)]).toMatchObject([1, { problems: ["entry 2 is missing"] }]);
  staging.startUp();
  await staging.up.said("ready");
  const { heads } = await staging.json(0, "audit", "verify");
  expect(heads).toBe(2); // one was signed at the stop
});
