import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { inheritFolder, releaseFolder, takeFolder } from "../../runtime/folder-lock.js";
import { findProcess } from "../../runtime/process-identity.js";

let path: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "lock-"));
});
afterEach(() => {
  releaseFolder(path);
  rmSync(path, { recursive: true, force: true });
});

const lock = () => join(path, "lock.json");
async function lockAs(pid: number): Promise<void> {
  writeFileSync(lock(), JSON.stringify({ pid, started: (await findProcess(pid))?.started }));
}

test("a folder is taken once, until it is released", async () => {
  await takeFolder(path, "a proxy");
  await expect(takeFolder(path, "a proxy")).rejects.toMatchObject({ code: "exists" });
  releaseFolder(path);
  expect(existsSync(lock())).toBe(false);
  await takeFolder(path, "a proxy");
  releaseFolder(path);
  await inheritFolder(path);
  await expect(takeFolder(path, "a proxy")).rejects.toMatchObject({ code: "exists" });
});

test("process 1, as a container has it, keeps its folder", async () => {
  if (process.pid === 1) return; // the tests themselves are it
  await lockAs(1);
  await expect(takeFolder(path, "a proxy")).rejects.toThrow("runs on the data folder");
  releaseFolder(path);
  expect(existsSync(lock())).toBe(true);
});

test("a lock that an earlier process left, of the same id and start as this one, keeps nobody out and is not this one's", async () => {
  await lockAs(process.pid);
  releaseFolder(path);
  expect(existsSync(lock())).toBe(true);
  await takeFolder(path, "a proxy");
});
