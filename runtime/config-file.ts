import { readFileSync, statSync } from "node:fs";
import { AshlarError } from "../core/errors.js";
import type { ConfigSources } from "./config.js";
import { fileReason } from "./file-reason.js";

const bytesMax = 1024 * 1024;

/**
 * Reads the settings in the YAML or JSON file of `--config FILE`, or of ASHLAR_CONFIG; returns none if neither is
 * given. Fails with `invalid_argument` if the file cannot be read or is not a mapping.
 */
export async function readConfigFile({ flags, env }: Omit<ConfigSources, "file">): Promise<ConfigSources["file"]> {
  const path = typeof flags.config === "string" ? flags.config : env.ASHLAR_CONFIG;
  if (path === undefined || path === "") return {};
  try {
    const file = statSync(path, { throwIfNoEntry: false });
    if (file === undefined) throw new AshlarError("not_found", "there is no such file");
    if (file.size > bytesMax) throw new AshlarError("limit", `more than ${bytesMax} bytes`);
    // loaded only when needed: it takes 6 MB, which a proxy without a settings file saves
    const { parse } = await import("yaml");
    const value: unknown = parse(readFileSync(path, "utf8"), { maxAliasCount: 0 });
    if (value === null) return {};
    if (typeof value !== "object" || Array.isArray(value)) throw new Error("expected a mapping of settings");
    return value as Record<string, unknown>;
  } catch (error) {
    throw new AshlarError("invalid_argument", `--config ${path}: ${fileReason(error)}`, { cause: error });
  }
}
