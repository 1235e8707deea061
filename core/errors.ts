/** Every code with which Ashlar refuses or fails. The list is closed, so that each reader handles all of them. */
export const errorCodes = [
  "conflict", // somebody else was first
  "denied", // the caller may not do this
  "deadline", // it took longer than allowed
  "exists", // an object of this name exists already
  "invalid_argument", // a request or flag that makes no sense
  "invalid_identity", // not a SPIFFE ID, or not an acceptable certificate
  "invalid_policy", // policy files with errors
  "invalid_record", // bytes whose signature, digest or form is wrong
  "limit", // too much or too many
  "not_found", // no object of this name exists
  "not_supported", // this version of Ashlar does not do that yet
  "stale", // the request is based on a state that is no longer the newest
  "unauthenticated", // credentials are missing, wrong, used up or expired
  "unavailable", // a server could not be reached, or is not ready
  "internal", // a bug in Ashlar
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/**
 * The one error class. `message` is one line for people: what was wrong, where, and what to do.
 * Programs branch on `code`, never on the message.
 */
export class AshlarError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "AshlarError";
    this.code = code;
  }
}

/** Returns whether `error` is an AshlarError with this code. */
export function isAshlarError(error: unknown, code?: ErrorCode): error is AshlarError {
  return error instanceof AshlarError && (code === undefined || error.code === code);
}

/** Returns the message of whatever was thrown, on one line, without a stack trace and without control characters. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? (error.message.split("\n", 1)[0] ?? error.name) : String(error);
  return text.replace(/\p{Cc}/gu, "?"); // JSON.parse, for one, quotes what it was given
}

/** Makes a switch exhaustive: the code does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new AshlarError("internal", `unhandled case: ${JSON.stringify(value)}`);
}
