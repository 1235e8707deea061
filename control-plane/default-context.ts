/** The context that commands use where none is given: a link in the user's configuration folder to the one of `ashlar up`. */
import { lstatSync, readlinkSync, statSync, symlinkSync, unlinkSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { makeFolders } from "../runtime/make-folders.js";

/** Returns the path where commands look for a context, or undefined if there is no home folder. */
export function defaultContextPath(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { XDG_CONFIG_HOME: configured, HOME: home } = env;
  if (configured !== undefined && isAbsolute(configured)) return join(configured, "ashlar", "admin.json");
  return home === undefined || home === "" ? undefined : join(home, ".config", "ashlar", "admin.json");
}

/**
 * Creates the link `path` to `context` where nothing is there, or a link whose file is gone. Returns whether commands now
 * use `context`. The context of another mesh that exists stays: starting a mesh must not turn commands to it.
 */
export function linkDefaultContext(path: string, context: string): boolean {
  try {
    if (isDangling(path)) unlinkSync(path);
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
      makeFolders(dirname(path), 0o700);
      symlinkSync(context, path);
      return true;
    }
    return readlinkSync(path) === context;
  } catch {
    return false; // a file of somebody's own, or a folder that cannot be written: the path is printed all the same
  }
}

function isDangling(path: string): boolean {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  return isLink && statSync(path, { throwIfNoEntry: false }) === undefined;
}
