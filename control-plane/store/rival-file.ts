/**
 * Records that contest the number of a log's record, on disk, so that a conflict and its decision outlive a restart.
 */
import { readFile } from "node:fs/promises";
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import { replaceDurably } from "../../runtime/durable-file.js";

export interface StoredRival {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  /** True if an operator has decided. */
  readonly settled: boolean;
}

export interface RivalFile {
  readonly known: readonly StoredRival[];
  /** Stores the rivals, which are on disk when this resolves. */
  save(rivals: readonly StoredRival[]): Promise<void>;
}

const states = ["open", "settled"];

/** Opens `file`, one record a line; fails with `invalid_record` if it is damaged. */
export async function openRivalFile(file: string): Promise<RivalFile> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return {
    known: text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => parse(line, file)),
    save: (rivals) =>
      replaceDurably(
        file,
        rivals
          .map(({ bytes, settled }) => `${settled ? "settled" : "open"} ${Buffer.from(bytes).toString("base64")}\n`)
          .join(""),
      ),
  };
}

function parse(line: string, file: string): StoredRival {
  const [state = "", record = ""] = line.split(" ");
  try {
    if (!states.includes(state) || record === "") throw new Error("a line that is none of ours");
    const bytes = new Uint8Array(Buffer.from(record, "base64"));
    return { digest: digestOf(bytes), bytes, settled: state === "settled" };
  } catch (cause) {
    throw new AshlarError("invalid_record", `${file} is damaged: ${messageOf(cause)}`, { cause });
  }
}
