import { readFileSync } from "node:fs";

let known: string | undefined;

/** The version of this program, as its package states it; "unknown" where the package is not beside the code. */
export function productVersion(): string {
  known ??= readVersion("../../package.json") ?? readVersion("../package.json") ?? "unknown";
  return known;
}

/** Compiled code lies one folder deeper than its source. */
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
