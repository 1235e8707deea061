import { readFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { AshlarError } from "../core/errors.js";
import { makePrivateFolder, writeDurably } from "../runtime/durable-file.js";
import { fileReason } from "../runtime/file-reason.js";

/** The contents of join.json: where to join, and the hash of the mesh's root key. It contains no secret. */
export interface JoinFile {
  /** "HOST:PORT", or several joined by commas. */
  readonly join: string;
  /** Further control planes of the mesh, "HOST:PORT" each. */
  readonly joins?: readonly string[];
  readonly rootHash: string;
}

const bytesMax = 64 * 1024;
const copyName = "join.json";

/**
 * Stores a copy of join.json for later starts while the file is missing. A failure is ignored, because a full disk must
 * not prevent this start.
 */
export function keepJoinFile(file: JoinFile, dataDir: string): void {
  try {
    makePrivateFolder(dataDir);
    writeDurably(joinPath(dataDir, copyName), JSON.stringify(file));
  } catch {}
}

/**
 * Reads join.json. If the file is missing (the control plane is being started or moved), the copy in `dataDir` is used.
 * Fails with `invalid_argument`.
 */
export async function readJoinFile(path: string, dataDir: string): Promise<JoinFile> {
  try {
    return parseJoinFile(await readFile(path, "utf8"));
  } catch (cause) {
    const kept =
      (cause as NodeJS.ErrnoException).code === "ENOENT" ? await readCopy(joinPath(dataDir, copyName)) : undefined;
    if (kept !== undefined) return kept;
    throw new AshlarError("invalid_argument", `--join: cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
}

async function readCopy(path: string): Promise<JoinFile | undefined> {
  try {
    return parseJoinFile(await readFile(path, "utf8"));
  } catch {
    return undefined; // then the error is about the file that was named
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

/** A given token, or why there is none; a stored identity does not need one. */
export type GivenToken = { readonly token: string } | { readonly noToken: string };

/**
 * Reads the token in a file, or on stdin for "-". Fails with `invalid_argument` if the text is too long for a token.
 */
export async function readToken(
  source: string | undefined,
  readStdin: () => Promise<string>,
): Promise<GivenToken | undefined> {
  if (source === undefined) return undefined;
  const from = source === "-" ? "stdin" : source;
  let text: string;
  try {
    text = (source === "-" ? await readStdin() : await readFile(source, "utf8")).trim();
  } catch (cause) {
    return { noToken: `--token: cannot read ${from}: ${fileReason(cause)}` };
  }
  if (text.length > bytesMax) throw new AshlarError("invalid_argument", `--token: ${from} is too long to be a token`);
  return text === "" ? { noToken: `--token: ${from} is empty` } : { token: text };
}
