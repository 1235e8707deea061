/** Stores where a log continues after a gap. Without it, a restart would not know that the gap is accepted. */
import { readFile } from "node:fs/promises";
import { type Digest, parseDigest } from "../../core/digest.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import { replaceDurably } from "../../runtime/durable-file.js";

export interface LogBegins {
  /** Digests of the records at which history begins although the record before is missing. */
  readonly known: readonly Digest[];
  /** Stores the digests, which are on disk when this resolves. */
  save(begins: readonly Digest[]): Promise<void>;
}

/** Opens `file`; fails with `invalid_record` if it is damaged. */
export async function openLogBegins(file: string): Promise<LogBegins> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return {
    known: parse(text, file),
    save: (begins) => replaceDurably(file, `${begins.join("\n")}\n`),
  };
}

function parse(text: string, file: string): readonly Digest[] {
  try {
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map(parseDigest);
  } catch (cause) {
    throw new AshlarError("invalid_record", `${file} is damaged: ${messageOf(cause)}`, { cause });
  }
}
