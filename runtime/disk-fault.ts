/** Describes disk errors for operators. */
import { AshlarError } from "../core/errors.js";
import { fileReason } from "./file-reason.js";

const faults: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full (or has no inodes left): make room there, and it goes on by itself",
  EDQUOT: "the quota of the disk is used up: raise it or make room there, and it goes on by itself",
  EROFS: "the file system is read-only: mount it for writing, and look at why it was not (dmesg)",
  EIO: "the disk has a fault (input/output error): look at it (dmesg, smartctl) and have a copy of the folder elsewhere",
};

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";

/** Returns what is wrong with a disk and what to do, or undefined if `error` is not about a disk. */
export function diskFaultOf(error: unknown): string | undefined {
  return faults[codeOf(error)];
}

/** Returns whether the disk is full, as opposed to broken. Accepts an error that `diskError` made, too. */
export function isDiskFull(error: unknown): boolean {
  const code = codeOf(error instanceof AshlarError ? error.cause : error);
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Returns an `unavailable` error that says that `doing` ("write", "open") `path` failed, and why. */
export function diskError(doing: string, path: string, cause: unknown): AshlarError {
  if (cause instanceof AshlarError) return cause;
  return new AshlarError("unavailable", `cannot ${doing} ${path}: ${diskFaultOf(cause) ?? fileReason(cause)}`, {
    cause,
  });
}
