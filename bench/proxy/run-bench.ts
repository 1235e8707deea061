import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Processes } from "./pair.js";

/** Runs a bench with a folder of its own. Its processes are stopped whatever happens. */
export async function runBench(work: (processes: Processes, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ashlar-bench-"));
  const processes = new Processes();
  try {
    await work(processes, folder);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  } finally {
    await processes.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
