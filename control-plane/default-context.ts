/** The context that commands use where none is given: a link in the user's configuration folder to the one of `ashlar up`. */
import { lstatSync, mkdirSync, readlinkSync, symlinkSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

/** Where commands look; undefined: there is no home. */
export function defaultContextPath(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { XDG_CONFIG_HOME: configured, HOME: home } = env;
  if (configured !== undefined && isAbsolute(configured)) return join(configured, "ashlar", "admin.json");
  return home === undefined || home === "" ? undefined : join(home, ".config", "ashlar", "admin.json");
}

/** Links `path` to `context` where nothing is there. Says whether commands use `context` now; what is there stays. */
export function linkDefaultContext(path: string, context: string): boolean {
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      symlinkSync(context, path);
      return true;
    }
    return readlinkSync(path) === context;
  } catch {
    return false; // a file of somebody's own, or a folder that cannot be written: the path is printed all the same
  }
}
