/** Two operators, and a mesh that activates nothing that only one of them has seen. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";

let mesh: TestMesh;

beforeAll(async () => {
  mesh = await TestMesh.start("test", ["--approvals", "1", "--operator", "bob"]);
}, 60_000);
afterAll(async () => {
  await mesh?.stop();
}, 30_000);

test("a revision waits for the approval of an operator who did not write it", async () => {
  const file = mesh.policy("policy.yaml", services);
  const early = await mesh.cli("apply", "-f", file);
  expect([early.code, early.stderr]).toEqual([1, expect.stringMatching(/revision 1 has 0 of 1 approvals/)]);
  const forced = await mesh.cli("activate", "1", "--force");
  expect([forced.code, forced.stderr]).toEqual([1, expect.stringMatching(/0 of 1 approvals/)]);
  const own = await mesh.cli("approve", "1");
  expect([own.code, own.stderr]).toEqual([1, expect.stringMatching(/operator\/admin wrote revision 1/)]);
  const bob = ["--context", join(mesh.data, "operator-bob.json")];
  const approved = await mesh.cli(...bob, "approve", "1", "-m", "read it", "-o", "json");
  const approval = { operator: "spiffe://test/operator/bob", reason: "read it", time: expect.any(String) };
  expect([approved.code, approved.stderr]).toEqual([0, ""]);
  expect(JSON.parse(approved.stdout)).toEqual({ revision: 1, created: true, required: 1, approvals: [approval] });
  expect(await mesh.json(0, "activate", "1")).toMatchObject({ revision: 1, epoch: 1 });
  expect(await mesh.json(0, "log")).toMatchObject([{ number: 1, approvals: [approval] }]);
  expect(await mesh.json(0, "show", "1")).toMatchObject({ number: 1, approvals: [approval] });
  expect((await mesh.cli("log")).stdout).toMatch(/APPROVED BY.*\n.* bob$/m);
  const audit: { action: string; outcome: string; actor: string }[] = await mesh.json(0, "audit");
  expect(audit.filter(({ action }) => action === "approve")).toMatchObject([
    { outcome: "denied", actor: "spiffe://test/operator/admin" },
    { outcome: "ok", actor: "spiffe://test/operator/bob" },
  ]);
  expect((await mesh.cli("audit", "verify")).code).toBe(0);
}, 60_000);
