/** Examines the folders of control planes and proxies on this machine. */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AshlarError } from "../../core/errors.js";
import { fileReason } from "../../runtime/file-reason.js";
import type { DoctorFacts, PrivatePath } from "./examine.js";

/** The deepest folder that is examined, which is deeper than any of ours, and the most entries. */
const depthMax = 4;
const entriesMax = 10_000;
/** Returns whether a file contains no secret, so that anybody may read it. */
const isPublic = (name: string): boolean => name === "join.json" || name === "ready.json";

/** Examines a folder. Fails with `invalid_argument` if `dir` cannot be read. */
export function lookAtFolder(dir: string): Pick<DoctorFacts, "listeners" | "paths"> {
  const paths: PrivatePath[] = [];
  try {
    paths.push({ path: dir, kind: "folder", mode: lstatSync(dir).mode & 0o777 });
    collect(dir, paths, 0);
  } catch (error) {
    throw new AshlarError("invalid_argument", `cannot read the folder ${dir}: ${fileReason(error)}`, { cause: error });
  }
  // a user who cannot enter a folder cannot read anything below it
  const top = paths[0] as PrivatePath;
  return { listeners: listenersOf(dir), paths: (top.mode & 0o077) === 0 ? [] : worst(paths) };
}

function collect(dir: string, paths: PrivatePath[], depth: number): void {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (paths.length >= entriesMax) return;
    if (entry.isSymbolicLink() || isPublic(entry.name)) continue;
    const path = join(dir, entry.name);
    const mode = lstatSync(path).mode & 0o777;
    const kind = entry.isDirectory() ? "folder" : entry.isSocket() ? "socket" : "file";
    paths.push({ path, kind, mode });
    if (kind === "folder" && depth < depthMax && (mode & 0o077) !== 0) collect(path, paths, depth + 1);
  }
}

/** Returns the files and sockets that others can use; a folder that is open shows by what is open in it. */
function worst(paths: readonly PrivatePath[]): readonly PrivatePath[] {
  return paths.filter(({ kind, mode }) => kind !== "folder" && (mode & 0o077) !== 0);
}

function listenersOf(dir: string): DoctorFacts["listeners"] {
  try {
    const { admin, nats } = JSON.parse(readFileSync(join(dir, "ready.json"), "utf8")) as Record<string, unknown>;
    return [
      ...(typeof admin === "string" ? [{ what: "admin" as const, address: admin }] : []),
      ...(typeof nats === "string" ? nats.split(",").map((address) => ({ what: "nats" as const, address })) : []),
    ];
  } catch {
    return []; // no control plane runs on this folder
  }
}
