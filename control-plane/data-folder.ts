/** The folder of one control plane: whose it is, who runs on it now, and the files that tell others where it serves. */
import { chmodSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AshlarError, messageOf } from "../core/errors.js";
import { findProcess } from "./nats/process-identity.js";

/** What others read once the control plane serves. */
export const readyFiles = ["ready.json", "admin.json", "join.json"] as const;

export interface SavedPorts {
  readonly admin: number;
  readonly join: number;
}

interface Owner {
  readonly pid: number;
  /** When the process started, in the system's own words: a pid may be given to another process later. */
  readonly started: string;
}

const lockName = "lock.json";

export class DataFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the folder (mode 0700) if need be and takes it; the lock of a process that is gone is taken over.
   * Fails with `exists` if a control plane runs on it, with `unavailable` if it cannot be written.
   */
  static async open(path: string): Promise<DataFolder> {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      chmodSync(path, 0o700);
      await takeLock(path);
    } catch (error) {
      if (error instanceof AshlarError) throw error;
      throw new AshlarError("unavailable", `cannot use the data folder ${path}: ${messageOf(error)}`, { cause: error });
    }
    return new DataFolder(path);
  }

  /**
   * The mesh that the folder belongs to; a new folder belongs to `asked` from now on (or to `otherwise`).
   * Fails with `conflict` if it is another mesh's.
   */
  claim(asked: string | undefined, otherwise: string): string {
    const known = this.readJson("mesh.json")?.mesh;
    if (typeof known !== "string") {
      const mesh = asked ?? otherwise;
      this.writeJson("mesh.json", { mesh });
      return mesh;
    }
    if (asked !== undefined && asked !== known) {
      throw new AshlarError(
        "conflict",
        `the data folder ${this.path} belongs to mesh ${JSON.stringify(known)}, not ${JSON.stringify(asked)}; give another --data`,
      );
    }
    return known;
  }

  /** The ports of the last run; proxies have them in their files. */
  savedPorts(): SavedPorts | undefined {
    const { admin, join: joinPort } = this.readJson("ports.json") ?? {};
    return isPort(admin) && isPort(joinPort) ? { admin, join: joinPort } : undefined;
  }

  savePorts(ports: SavedPorts): void {
    this.writeJson("ports.json", ports);
  }

  /** What an earlier run wrote is not true any more. */
  removeReadyFiles(): void {
    for (const name of readyFiles) rmSync(join(this.path, name), { force: true });
  }

  readJson(name: string): Readonly<Record<string, unknown>> | undefined {
    try {
      const value: unknown = JSON.parse(readFileSync(join(this.path, name), "utf8"));
      return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Writes by rename, so that a reader sees all of it or nothing. Mode 0600. */
  writeJson(name: string, value: unknown): void {
    const path = join(this.path, name);
    writeFileSync(`${path}.tmp`, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600 });
    renameSync(`${path}.tmp`, path);
  }

  /** Contexts and join files stay: commands then say that nobody serves, and proxies can be started meanwhile. */
  close(): void {
    rmSync(join(this.path, "ready.json"), { force: true });
    rmSync(join(this.path, lockName), { force: true });
  }
}

async function takeLock(path: string): Promise<void> {
  const lock = join(path, lockName);
  const mine = join(path, `lock.${process.pid}.tmp`);
  const owner: Owner = { pid: process.pid, started: (await findProcess(process.pid))?.started ?? "" };
  writeFileSync(mine, JSON.stringify(owner), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      if (tryLink(mine, lock)) return;
      const text = readText(lock);
      if (text === undefined) continue; // it was released just now
      const running = parseOwner(text);
      if (running !== undefined && (await findProcess(running.pid))?.started === running.started)
        throw busy(path, running.pid);
      setAside(lock, text, `${mine}.stale`);
    }
    throw busy(path, undefined);
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Moves a stale lock away, but gives back one that somebody else has put there meanwhile. */
function setAside(lock: string, stale: string, aside: string): void {
  try {
    renameSync(lock, aside);
  } catch {
    return; // somebody else moved it
  }
  if (readText(aside) !== stale) tryLink(aside, lock);
  rmSync(aside, { force: true });
}

/** Links `from` to `to` unless `to` is there: the one step that only one process can win. */
function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function busy(path: string, pid: number | undefined): AshlarError {
  const who = pid === undefined ? "another process" : `process ${pid}`;
  return new AshlarError(
    "exists",
    `a control plane runs on the data folder ${path} already (${who}); stop it, or give another --data`,
  );
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    const { pid, started } = JSON.parse(text) as Partial<Owner>;
    return Number.isInteger(pid) && pid !== undefined && typeof started === "string" ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value <= 65535;
}
