/** Computes how many descriptors this process may still open. */
import { readdirSync, readFileSync } from "node:fs";

/** Descriptors that are reserved for files, NATS, pipes and what a request opens. */
const keptForFiles = 64;
const otherwise = 1024;

/** Node raises the soft limit to the hard one when it starts; where the system does not tell, a common one is taken. */
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
