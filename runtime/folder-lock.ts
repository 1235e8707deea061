/** A folder that one process at a time may work on: the data of a control plane, the identity of a proxy. */
import { linkSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { AshlarError } from "../core/errors.js";
import { makeFolders } from "./make-folders.js";
import { findProcess } from "./process-identity.js";

interface Owner {
  readonly pid: number;
  /** The start time of the process, as the system writes it, because a pid can be reused. */
  readonly started: string;
}

const lockName = "lock.json";
/**
 * The folders that this process has. A lock with its process id alone proves nothing: in a container every process that
 * ran on the folder before may have been process 1, and started as long after the system as this one.
 */
const taken = new Set<string>();

/**
 * Creates `path` (mode 0700) if it is missing. Returns a function that removes the created folders if they are empty.
 */
export function makeFolder(path: string): () => void {
  const first = makeFolders(path, 0o700);
  return () => {
    for (let made = resolve(path); first !== undefined && made.length >= resolve(first).length; made = dirname(made)) {
      try {
        rmdirSync(made);
      } catch {
        return; // the folder is not empty
      }
    }
  };
}

/**
 * Takes `path`, which is there, for this process: writes its lock.json. The lock of a process that is gone is taken
 * over. Fails with `exists` if a process that runs has it; `who` says what that is, for example "a proxy".
 */
export async function takeFolder(path: string, who: string): Promise<void> {
  const lock = join(path, lockName);
  const mine = join(path, `lock.${process.pid}.tmp`);
  writeFileSync(mine, JSON.stringify(await ownerHere()), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      if (tryLink(mine, lock)) return void taken.add(resolve(path));
      const text = readText(lock);
      if (text === undefined) continue; // the lock was just released
      const running = parseOwner(text);
      if (running !== undefined && (await isRunning(running, path))) throw busy(path, who, running.pid);
      setAside(lock, text, `${mine}.stale`);
    }
    throw busy(path, who, undefined);
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Releases a folder if this process has it: another one may have taken it over. */
export function releaseFolder(path: string): void {
  const lock = join(path, lockName);
  if (!taken.delete(resolve(path))) return;
  if (parseOwner(readText(lock) ?? "")?.pid === process.pid) rmSync(lock, { force: true });
}

/** Puts the lock of this process in the place of that of the process which gave it the folder. */
export async function inheritFolder(path: string): Promise<void> {
  const mine = join(path, `lock.${process.pid}.tmp`);
  writeFileSync(mine, JSON.stringify(await ownerHere()), { mode: 0o600 });
  renameSync(mine, join(path, lockName));
  taken.add(resolve(path));
}

async function isRunning({ pid, started }: Owner, path: string): Promise<boolean> {
  if (pid === process.pid) return taken.has(resolve(path));
  return (await findProcess(pid))?.started === started;
}

async function ownerHere(): Promise<Owner> {
  return { pid: process.pid, started: (await findProcess(process.pid))?.started ?? "" };
}

/** Moves a stale lock away, but gives back one that somebody else has put there meanwhile. */
function setAside(lock: string, stale: string, aside: string): void {
  try {
    renameSync(lock, aside);
  } catch {
    return; // another process moved it
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

function busy(path: string, who: string, pid: number | undefined): AshlarError {
  const owner = pid === undefined ? "another process" : `process ${pid}`;
  return new AshlarError(
    "exists",
    `${who} runs on the data folder ${path} already (${owner}); stop it, or give another --data`,
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
