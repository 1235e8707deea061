/** Runs `ashlar up` as a process of its own, from the compiled sources. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { repository, run, TestProcess } from "./processes.js";

const mainPath = join(repository, "dist/control-plane/main.js");

/** Compiles the sources if that was not done since they changed last. */
export async function ensureBuilt(): Promise<void> {
  const newest = ["core", "runtime", "control-plane"]
    .flatMap((folder) => readdirSync(join(repository, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs)
    .reduce((latest, at) => Math.max(latest, at), 0);
  if (existsSync(mainPath) && statSync(mainPath).mtimeMs >= newest) return;
  const tsc = join(repository, "node_modules/typescript/bin/tsc");
  const built = await run(process.execPath, [tsc, "-p", join(repository, "tsconfig.build.json")]);
  if (!existsSync(mainPath)) throw new Error(`the build failed:\n${built.stdout}${built.stderr}`);
}

export interface ReadyFile {
  readonly mesh: string;
  readonly admin: string;
  readonly join: string;
  readonly nats: string;
  readonly pid: number;
}

/** Returns the arguments for node that start one on free ports. */
export function upArguments(dataDir: string, ...flags: readonly string[]): readonly string[] {
  const listen = flags.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
  return [mainPath, "--data", dataDir, ...listen, "--join-listen", "127.0.0.1:0", ...flags];
}

/** Starts one on free ports; wait with `said("ready")`. */
export function startUp(dataDir: string, ...flags: readonly string[]): TestProcess {
  return new TestProcess("up", process.execPath, upArguments(dataDir, ...flags));
}

export function readReady(dataDir: string): ReadyFile {
  return JSON.parse(readFileSync(join(dataDir, "ready.json"), "utf8")) as ReadyFile;
}

export interface OperatorContext {
  readonly admin: string;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export function readOperatorContext(dataDir: string): OperatorContext {
  return JSON.parse(readFileSync(join(dataDir, "admin.json"), "utf8")) as OperatorContext;
}
