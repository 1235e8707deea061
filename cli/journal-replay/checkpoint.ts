/** The progress of a replay, in a file of the operator: the next run continues from there. */
import { existsSync, readFileSync } from "node:fs";
import { AshlarError } from "../../core/errors.js";
import { writeFileWhole } from "../write-file.js";

export interface Checkpoint {
  readonly service: string;
  readonly target: string;
  /** All writes up to this position are done. */
  readonly position: number;
  readonly sent: number;
  readonly diverged: number;
}

/**
 * Returns the stored progress, or undefined if there is no file. Fails with `invalid_argument` if the file belongs to
 * another replay.
 */
export function readCheckpoint(path: string, service: string, target: string): Checkpoint | undefined {
  if (!existsSync(path)) return undefined;
  const found = parse(readFileSync(path, "utf8"));
  if (found === undefined) throw new AshlarError("invalid_argument", `${path} is no checkpoint of a replay`);
  if (found.service === service && found.target === target) return found;
  const other = `${path} is the checkpoint of a replay of ${found.service} to ${found.target}`;
  throw new AshlarError("invalid_argument", `${other}: name another file (--checkpoint)`);
}

export function writeCheckpoint(path: string, checkpoint: Checkpoint): void {
  writeFileWhole(path, `${JSON.stringify(checkpoint)}\n`, 0o600);
}

function parse(text: string): Checkpoint | undefined {
  try {
    const { service, target, position, sent, diverged } = JSON.parse(text) as Record<string, unknown>;
    if (typeof service !== "string" || typeof target !== "string") return undefined;
    const numbers = [position, sent, diverged];
    if (!numbers.every((each) => Number.isSafeInteger(each) && Number(each) >= 0)) return undefined;
    return { service, target, position: Number(position), sent: Number(sent), diverged: Number(diverged) };
  } catch {
    return undefined;
  }
}
