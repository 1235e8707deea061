/** A bench that is told to end leaves no process and no folder behind, whatever it was at. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { repository, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

/** Processes by the id of their parent. */
function childrenByParent(): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const name of readdirSync("/proc").filter((each) => /^\d+$/.test(each))) {
    try {
      const parent = Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))?.[1]);
      found.set(parent, [...(found.get(parent) ?? []), Number(name)]);
    } catch {
      // it ended meanwhile
    }
  }
  return found;
}

function descendantsOf(pid: number, children = childrenByParent()): number[] {
  return (children.get(pid) ?? []).flatMap((child) => [child, ...descendantsOf(child, children)]);
}

const isStopped = (pid: number): boolean => {
  try {
    return /^State:\tT/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

/** Whether a process runs: one that has ended stays in the list until its parent asks for it. */
const isThere = (pid: number): boolean => {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

test("told to end while an application is stopped, it ends that one too, NATS and the folders of the mesh", async () => {
  const bench = join(repository, "dist/bench/traffic/main.js");
  const folder = mkdtempSync(join(tmpdir(), "ashlar-killed-"));
  const running = new TestProcess("bench", process.execPath, [bench, "--only", "ejection"], { TMPDIR: folder });
  try {
    await until("an application is stopped", () => descendantsOf(running.pid).some(isStopped), 60_000);
    const started = descendantsOf(running.pid);
    expect(started.length).toBeGreaterThanOrEqual(7); // the control plane, NATS, three proxies, two applications
    running.child.kill("SIGTERM");
    expect(await running.exited).toBe(143);
    expect(started.filter(isThere)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    running.child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);

test("after its minutes it gives up and says at what it was", async () => {
  const bench = join(repository, "dist/bench/traffic/main.js");
  const args = ["--only", "ejection", "--minutes", "0.02"];
  const running = new TestProcess("bench", process.execPath, [bench, ...args]);
  expect(await running.exited).toBe(1);
  expect(running.stderr).toContain("not within 0.02 minutes: ejection");
}, 60_000);
