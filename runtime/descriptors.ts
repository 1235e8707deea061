/** Computes how many descriptors this process may still open. */
import { readdirSync, readFileSync } from "node:fs";

/** File descriptors that are reserved for files, NATS, pipes, and whatever a request opens. */
const keptForFiles = 64;
const otherwise = 1024;

/**
 * Returns how many descriptors may be used for connections. Node raises the soft limit to the hard one at start; if the
 * system does not state it, a common value is assumed.
 */
export function descriptorsLeft(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    const limit = soft === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(soft);
    if (!Number.isFinite(limit)) return otherwise;
    return Math.max(0, limit - readdirSync("/proc/self/fd").length - keptForFiles);
  } catch {
    return otherwise;
  }
}
