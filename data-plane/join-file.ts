import { readFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { AshlarError, messageOf } from "../core/errors.js";
import { makePrivateFolder, writeDurably } from "../runtime/durable-file.js";

/** What join.json says: where to join, and the pin of the mesh's root key. It holds no secret. */
export interface JoinFile {
  /** "HOST:PORT", or several joined by commas. */
  readonly join: string;
  /** Further control planes of the mesh, "HOST:PORT" each. */
  readonly joins?: readonly string[];
  readonly rootHash: string;
}

const bytesMax = 64 * 1024;

/**
 * Reads join.json and keeps a copy in `dataDir`; while the file is not there (the control plane is being
 * started or moved) the copy of the last run serves. Fails with `invalid_argument`.
 */
export async function readJoinFile(path: string, dataDir: string): Promise<JoinFile> {
  const copy = joinPath(dataDir, "join.json");
  try {
    const file = parseJoinFile(await readFile(path, "utf8"));
    keepCopy(copy, dataDir, file);
    return file;
  } catch (cause) {
    const kept = (cause as NodeJS.ErrnoException).code === "ENOENT" ? await readCopy(copy) : undefined;
    if (kept !== undefined) return kept;
    throw new AshlarError("invalid_argument", `--join ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** For the next start: a full disk must not keep a proxy from this one. */
function keepCopy(path: string, dataDir: string, file: JoinFile): void {
  try {
    makePrivateFolder(dataDir);
    writeDurably(path, JSON.stringify(file));
  } catch {}
}

async function readCopy(path: string): Promise<JoinFile | undefined> {
  try {
    return parseJoinFile(await readFile(path, "utf8"));
  } catch {
    return undefined; // then the file that was named is what to complain about
  }
}

function parseJoinFile(text: string): JoinFile {
  if (text.length > bytesMax) throw new Error("it is too long");
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null) throw new Error("it is no object");
  const { join, joins = [], rootHash } = value as Record<string, unknown>;
  if (typeof join !== "string" || typeof rootHash !== "string" || !/^[0-9a-f]{64}$/.test(rootHash)) {
    throw new Error("join and rootHash are wanted");
  }
  if (!Array.isArray(joins) || !joins.every((one) => typeof one === "string"))
    throw new Error("joins: a list is wanted");
  return joins.length === 0 ? { join, rootHash } : { join, rootHash, joins };
}

/** The token in a file, or on stdin for "-"; undefined: there is no such file (an identity may be stored). */
export async function readToken(
  source: string | undefined,
  readStdin: () => Promise<string>,
): Promise<string | undefined> {
  if (source === undefined) return undefined;
  try {
    const text = (source === "-" ? await readStdin() : await readFile(source, "utf8")).trim();
    if (text.length > bytesMax) throw new Error("it is too long to be a token");
    return text === "" ? undefined : text;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new AshlarError("invalid_argument", `--token ${source}: ${messageOf(cause)}`, { cause });
  }
}
