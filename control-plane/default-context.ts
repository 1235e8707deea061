/** The context that commands use where none is given: a link in the user's configuration folder to the one of `ashlar up`. */
import { lstatSync, mkdirSync, readlinkSync, symlinkSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

/** Returns the path where commands look for a context, or undefined if there is no home folder. */
export function defaultContextPath(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { XDG_CONFIG_HOME: configured, HOME: home } = env;
  if (configured !== undefined && isAbsolute(configured)) return join(configured, "ashlar", "admin.json");
  return home === undefined || home === "" ? undefined : join(home, ".config", "ashlar", "admin.json");
}

/** Creates the link `path` to `context` unless something is there. Returns whether commands now use `context`. */
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
