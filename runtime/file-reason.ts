import { messageOf } from "../core/errors.js";

const reasons: ReadonlyMap<string, string> = new Map([
  ["ENOENT", "no such file or folder"],
  ["EEXIST", "there is a file of that name"],
  ["EISDIR", "it is a folder"],
  ["ENOTDIR", "a part of its path is no folder"],
  ["ENAMETOOLONG", "its name is too long"],
  ["ELOOP", "its symbolic links go in a circle"],
  ["ENOSPC", "the disk is full"],
  ["EDQUOT", "the disk quota is used up"],
  ["EROFS", "the file system can only be read"],
  ["ERR_ENCODING_INVALID_ENCODED_DATA", "it is not UTF-8 text"],
]);

/**
 * Returns why a file could not be read, parsed or written. The reason contains nothing of the file's content. The
 * caller names the path.
 */
export function fileReason(cause: unknown): string {
  if (cause instanceof SyntaxError) return "it is not JSON"; // the message of a SyntaxError quotes the file
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined;
  if (code === "EACCES" || code === "EPERM") return `permission denied ${renderUser(process.getuid?.())}`;
  return (typeof code === "string" ? reasons.get(code) : undefined) ?? messageOf(cause);
}

/** Names the user whose permission is missing, because it is often not the user who reads the message. */
function renderUser(uid: number | undefined): string {
  return uid === undefined ? "" : `(this process is user ${uid}: give it to that user, or run as its owner)`;
}
