/**
 * The context that commands use by default: a link in the user's configuration folder to the context of `ashlar up`.
 */
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
 * Creates the link `path` to `context` if nothing is there, or a link whose file is gone. Returns whether commands now
 * use `context`. An existing context of another mesh stays, because starting a mesh must not redirect commands to it.
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
