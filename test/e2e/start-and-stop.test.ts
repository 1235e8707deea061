/** What `ashlar up` says when it cannot start, and what is left when it is stopped in a hurry. */
import { existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { programFolders } from "../../control-plane/nats/nats-program.js";
import { findProcess } from "../../runtime/process-identity.js";
import { ensureBuilt, startUp, upArguments } from "../support/control-plane-process.js";
import { cliPath, run, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const root = mkdtempSync(join(tmpdir(), "ash-start-"));
const started: TestProcess[] = [];
beforeAll(ensureBuilt, 120_000);
afterEach(async () => {
  for (const one of started.splice(0)) await one.stop();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const up = (dir: string, ...flags: readonly string[]): TestProcess => {
  const one = startUp(dir, ...flags);
  started.push(one);
  return one;
};

test("`status` finds the mesh of `up --data` by itself; a second mesh does not take its place", async () => {
  const env = { XDG_CONFIG_HOME: join(root, "config"), ASHLAR_CONTEXT: "" };
  const startIn = async (name: string): Promise<TestProcess> => {
    const one = new TestProcess("up", process.execPath, upArguments(join(root, name), "--mesh", name), env);
    started.push(one);
    await one.said("context ");
    return one;
  };
  const first = await startIn("first");
  expect(first.stdout).toContain(`context ${join(root, "first", "admin.json")}, used by default\n`);
  const second = await startIn("second");
  expect(second.stdout).toContain(
    `context ${join(root, "second", "admin.json")}: give it with --context or ASHLAR_CONTEXT\n`,
  );
  const status = await run(process.execPath, [cliPath, "status", "-o", "json"], { env });
  expect([status.code, JSON.parse(status.stdout).mesh]).toEqual([0, "first"]);
}, 60_000);

test("two signals in a row end `up` at once and leave no nats-server", async () => {
  const dir = join(root, "twice");
  const control = up(dir);
  await control.said("ready");
  const server = Number(await readFile(join(dir, "nats", "nats.pid"), "utf8"));
  expect(await findProcess(server)).toBeDefined();
  control.child.kill("SIGTERM");
  control.child.kill("SIGINT");
  expect(await control.exited).toBe(1);
  await until("nats-server is gone", async () => (await findProcess(server)) === undefined);
});

for (const [what, mesh] of [
  ["one label", "a".repeat(64)],
  ["labels that are short enough", `${"a".repeat(40)}.${"b".repeat(30)}`],
] as const) {
  test(`a mesh name that is too long, ${what}, says so and leaves no folder`, async () => {
    const dir = join(root, "long", "data");
    const control = up(dir, "--mesh", mesh);
    expect(await control.exited).toBe(2);
    expect(control.stderr).toBe(
      `ashlar: --mesh: a mesh's name has at most 63 characters, this one has ${mesh.length}\n`,
    );
    expect(existsSync(join(root, "long"))).toBe(false);
  });
}

test("a nats-server that packages installed is found by a user without it on the PATH, or the places are named", async () => {
  const installed = programFolders.some((folder) => existsSync(join(folder, "nats-server")));
  const control = new TestProcess("up", process.execPath, upArguments(join(root, "path")), { PATH: "/nowhere" });
  started.push(control);
  if (installed) return control.said("ready");
  expect(await control.exited).toBe(1);
  expect(control.stderr).toMatch(/nats-server is neither on the PATH nor in .*\/usr\/sbin.*: install it/);
});

test("`up` makes no new root beside what an old mesh left", async () => {
  const dir = join(root, "rootless");
  const first = up(dir);
  await first.said("ready");
  await first.stop();
  const keys = join(dir, "identity", "authority.json");
  renameSync(keys, join(root, "authority.json"));
  const rootless = up(dir);
  expect(await rootless.exited).toBe(1);
  expect(rootless.stderr).toContain(`ashlar: ${keys} is missing beside identity/issued.jsonl, `);
  expect(existsSync(keys)).toBe(false);
  renameSync(join(root, "authority.json"), keys);
  await up(dir).said("ready");
});
