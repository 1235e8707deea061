/** Loads a mesh with calls and reports what each of its parties spent on a call. */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { whenKilled } from "../../test/conformance/when-killed.js";
import { cpuSecondsOf } from "../cpu-time.js";
import { type LoadFigures, median } from "../proxy/contenders.js";
import type { JournalMesh } from "./journal-mesh.js";

/** One burst of calls. */
export interface Burst extends LoadFigures {
  /** The CPU time of each party in microseconds, per call that was answered with OK. */
  readonly cpuUs: Readonly<Record<string, number>>;
}

const program = resolve(import.meta.dirname, "../load/main.js");

/** Runs the load generator beside this process, which can be told to end meanwhile. */
function runLoad(args: readonly string[]): Promise<LoadFigures> {
  return new Promise((done, failed) => {
    const child = execFile(process.execPath, [program, ...args, "--json"], (error, stdout) => {
      if (stdout !== "")
        done(JSON.parse(stdout)); // exit code 1 means that some calls failed, and the output says how many
      else failed(error ?? new Error("the load generator said nothing"));
    });
    const endNow = () => void child.kill("SIGKILL");
    child.once("exit", whenKilled({ end: async () => endNow(), endNow }));
  });
}

export async function burst({ mesh, parties }: JournalMesh, args: readonly (string | number)[]): Promise<Burst> {
  const cpuOf = () =>
    Object.entries(parties).map(
      ([name, pids]) => [name, pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)] as const,
    );
  const before = new Map(cpuOf());
  const figures = await runLoad(["--target", `127.0.0.1:${mesh.port}`, "--connections", "8", ...args.map(String)]);
  const each = (1e6 / Math.max(1, figures.ok)) as number;
  const cpuUs = Object.fromEntries(
    cpuOf().map(([name, seconds]) => [name, (seconds - (before.get(name) ?? 0)) * each]),
  );
  const cpuUsPerCall = Object.values(cpuUs).reduce((sum, one) => sum + one, 0);
  return { ...figures, cpuUs, cpuUsPerCall };
}

/** Returns the median over all bursts of the value that `of` returns. */
export const medianOf = (bursts: readonly Burst[], of: (burst: Burst) => number): number => median(bursts.map(of));
