/** Every way in which Ashlar refuses or fails; closed, so that each reader handles all of them. */
export const errorCodes = [
  "conflict", // somebody else was first
  "denied", // the caller may not do this
  "deadline", // it took longer than allowed
  "exists", // it is there already
  "invalid_argument", // a request or flag that makes no sense
  "invalid_identity", // not a SPIFFE ID, or not an acceptable certificate
  "invalid_policy", // policy files with errors
  "invalid_record", // bytes that are not what they should be: signature, digest, form
  "limit", // too much or too many
  "not_found", // it is not there
  "not_supported", // this version of Ashlar does not do that yet
  "stale", // it contradicts what is already known to be newer
  "unauthenticated", // no, wrong, used or expired credentials
  "unavailable", // it could not be reached, or is not ready
  "internal", // a fault of Ashlar's own
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

/** Says whether `error` is an AshlarError with this code. */
export function isAshlarError(error: unknown, code?: ErrorCode): error is AshlarError {
  return error instanceof AshlarError && (code === undefined || error.code === code);
}

/** One line for people about whatever was thrown; never a stack trace, and nothing that a terminal would act on. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? (error.message.split("\n", 1)[0] ?? error.name) : String(error);
  return text.replace(/\p{Cc}/gu, "?"); // JSON.parse, for one, quotes what it was given
}

/** Makes a switch exhaustive: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new AshlarError("internal", `unhandled case: ${JSON.stringify(value)}`);
}
