import { readFile } from "node:fs/promises";
import { AshlarError, messageOf } from "../core/errors.js";

/** What join.json says: where to join, and the pin of the mesh's root key. It holds no secret. */
export interface JoinFile {
  /** "HOST:PORT". */
  readonly join: string;
  readonly rootHash: string;
}

const bytesMax = 64 * 1024;

/** Reads join.json; fails with `invalid_argument`. */
export async function readJoinFile(path: string): Promise<JoinFile> {
  try {
    const text = await readFile(path, "utf8");
    if (text.length > bytesMax) throw new Error("it is too long");
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) throw new Error("it is no object");
    const { join, rootHash } = value as Record<string, unknown>;
    if (typeof join !== "string" || typeof rootHash !== "string" || !/^[0-9a-f]{64}$/.test(rootHash)) {
      throw new Error("join and rootHash are wanted");
    }
    return { join, rootHash };
  } catch (cause) {
    throw new AshlarError("invalid_argument", `--join ${path}: ${messageOf(cause)}`, { cause });
  }
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
