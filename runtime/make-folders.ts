import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Creates the folder `path` and its missing parents with `mode`, and returns the topmost folder that it created. It
 * does not use mkdir's `recursive`, which never ends where the system reports a new folder's parent as missing, as
 * below /proc.
 */
export function makeFolders(path: string, mode = 0o777): string | undefined {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.unshift(at);
  if (missing.length === 0) missing.push(resolve(path)); // mkdir then fails if the path is a file
  let made: string | undefined;
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode });
      made ??= folder;
    } catch (error) {
      // another process may have created it
      if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
    }
  }
  return made;
}
