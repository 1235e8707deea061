import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Makes the folder `path` and what is missing above it, with `mode`; returns the topmost that it made. Not by the
 * `recursive` of mkdir: that never ends where the system says that a new folder's parent is missing, as below /proc.
 */
export function makeFolders(path: string, mode = 0o777): string | undefined {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.unshift(at);
  if (missing.length === 0) missing.push(resolve(path)); // fails below if it is a file
  let made: string | undefined;
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode });
      made ??= folder;
    } catch (error) {
      if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error; // another process may have made it
    }
  }
  return made;
}
