import { readFileSync } from "node:fs";

let known: string | undefined;

/** Returns the version of this program from its package, or "unknown" if the package is not beside the code. */
export function productVersion(): string {
  known ??= readVersion("../../package.json") ?? readVersion("../package.json") ?? "unknown";
  return known;
}

/** Reads the version at a path; compiled code is one folder deeper than its source. */
function readVersion(address: string): string | undefined {
  try {
    const manifest: { name?: unknown; version?: unknown } = JSON.parse(
      readFileSync(new URL(address, import.meta.url), "utf8"),
    );
    return manifest.name === "ashlar" && typeof manifest.version === "string" ? manifest.version : undefined;
  } catch {
    return undefined;
  }
}
