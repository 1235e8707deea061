/** Takes a data folder for one proxy of this process: locks it, or takes it over from a running process. */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { fileReason } from "../../runtime/file-reason.js";
import { makeFolder, takeFolder } from "../../runtime/folder-lock.js";
import type { ProxyConfig } from "../config.js";
import { Predecessor } from "../takeover/predecessor.js";

export interface TakenData {
  /** Removes the folders that were created if they are empty. */
  readonly removeEmpty: () => void;
  readonly predecessor?: Predecessor | undefined;
}

/**
 * Locks the data folder, or makes the process that runs on it hold still: it hands over once this one serves. Fails
 * with `exists` if that process cannot hand over.
 */
export async function takeData({ dataDir: path, edge, service }: ProxyConfig): Promise<TakenData> {
  try {
    const removeEmpty = makeFolder(path);
    try {
      await takeFolder(path, edge === undefined ? "a proxy" : "a gateway");
      return { removeEmpty };
    } catch (error) {
      if (!isAshlarError(error, "exists")) throw error;
      const predecessor = await Predecessor.hold(path, service);
      if (predecessor === undefined) throw error;
      return { removeEmpty, predecessor };
    }
  } catch (error) {
    if (isAshlarError(error)) throw error;
    throw new AshlarError("unavailable", `cannot use the data folder ${path}: ${fileReason(error)}`, { cause: error });
  }
}
