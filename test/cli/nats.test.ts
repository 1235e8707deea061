import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type FakeAdmin, startFakeAdmin } from "./fake-admin.js";

let admin: FakeAdmin;
beforeAll(async () => {
  admin = await startFakeAdmin();
});
afterAll(() => admin.stop());

test("nats setup makes a file with fresh keys once, and prints what it stands for, for people and programs", async () => {
  const file = join(admin.folder, "accounts.json");
  const first = await admin.run("nats", "setup", "--nats-account", file, "-o", "json");
  expect([first.code, first.error]).toEqual([0, expect.stringContaining("made with fresh account keys")]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const { mesh, proxies } = JSON.parse(first.out);
  expect(mesh.exports.map(({ subject }: { subject: string }) => subject)).toContain("ashlar.read.>");
  expect(proxies.imports.every(({ account }: { account: string }) => account === mesh.account)).toBe(true);
  expect(proxies.limits).toMatchObject({ streams: 0, disk_storage: 0 });
  const again = await admin.run("nats", "setup", "--nats-account", file);
  expect([again.code, again.error]).toEqual([0, ""]);
  expect(again.out).toContain(`nsc add account --name MESH --public-key ${mesh.account}`);
  expect(again.out).toContain(
    "nsc add export --account MESH --name committed-records --subject 'ashlar.read.>' --private",
  );
});

test("nats setup refuses one account for both, a damaged file, and no file at all", async () => {
  const file = join(admin.folder, "one.json");
  const both = join(admin.folder, "both.json");
  await admin.run("nats", "setup", "--nats-account", both);
  const { mesh } = JSON.parse(readFileSync(both, "utf8"));
  writeFileSync(file, JSON.stringify(mesh));
  const one = await admin.run("nats", "setup", "--nats-account", file);
  expect([one.code, one.out]).toEqual([2, ""]);
  expect(one.error).toContain("one account for control planes and proxies");
  writeFileSync(file, "rubbish");
  expect((await admin.run("nats", "setup", "--nats-account", file)).code).toBe(2);
  expect((await admin.run("nats", "setup")).code).toBe(2);
});
