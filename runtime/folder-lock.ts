/** Locks a folder so that only one process works on it: the data of a control plane, or the identity of a proxy. */
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
 * The folders that this process has locked. A lock with our own process id proves nothing by itself: in a container,
 * every process that used the folder before may have been process 1, started just as long after the system.
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
 * Locks the existing folder `path` for this process by writing its lock.json, and takes over the lock of a process that
 * has ended. Fails with `exists` if a running process has the lock; `who` names the holder in the message, such as "a
 * proxy".
 */
export async function takeFolder(path: string, who: string): Promise<void> {
  const lock = join(path, lockName);
  const mine = join(path, `lock.${process.pid}.tmp`);
  writeFileSync(mine, JSON.stringify(await ownerHere()), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      if (tryLink(mine, lock)) return void taken.add(resolve(path));
      const text = readText(lock);
      if (text === undefined) continue; // the lock was released meanwhile
      const running = parseOwner(text);
      if (running !== undefined && (await isRunning(running, path))) throw busy(path, who, running.pid);
      setAside(lock, text, `${mine}.stale`);
    }
    throw busy(path, who, undefined);
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Releases a folder if this process still has it; another process may have taken it over. */
export function releaseFolder(path: string): void {
  const lock = join(path, lockName);
  if (!taken.delete(resolve(path))) return;
  if (parseOwner(readText(lock) ?? "")?.pid === process.pid) rmSync(lock, { force: true });
}

/** Replaces the lock of the process that handed this folder over by our own. */
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

/** Moves a stale lock away, and moves it back if another process has written a new one meanwhile. */
function setAside(lock: string, stale: string, aside: string): void {
  try {
    renameSync(lock, aside);
  } catch {
    return; // another process moved it
  }
  if (readText(aside) !== stale) tryLink(aside, lock);
  rmSync(aside, { force: true });
}

/** Links `from` to `to` unless `to` exists. Only one of several processes can succeed. */
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
