/**
 * Converts Ashlar's errors to gRPC statuses and back. The status carries a google.rpc.Status in
 * `grpc-status-details-bin` (ErrorInfo always, BadRequest for invalid input), so that clients in any language can
 * branch on the code and never on the text.
 */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { AshlarError, type ErrorCode, errorCodes } from "../core/errors.js";
import { diskFaultOf } from "./disk-fault.js";
import { decodeStatusDetails, encodeStatusDetails, type FieldViolation, type StatusDetails } from "./grpc-details.js";

/** The gRPC status of each error code. A code without a status does not compile. */
export const statusOf = {
  conflict: status.ABORTED,
  denied: status.PERMISSION_DENIED,
  deadline: status.DEADLINE_EXCEEDED,
  exists: status.ALREADY_EXISTS,
  invalid_argument: status.INVALID_ARGUMENT,
  invalid_identity: status.INVALID_ARGUMENT,
  invalid_policy: status.INVALID_ARGUMENT,
  invalid_record: status.INVALID_ARGUMENT,
  limit: status.RESOURCE_EXHAUSTED,
  not_found: status.NOT_FOUND,
  not_supported: status.UNIMPLEMENTED,
  stale: status.FAILED_PRECONDITION,
  unauthenticated: status.UNAUTHENTICATED,
  unavailable: status.UNAVAILABLE,
  internal: status.INTERNAL,
} as const satisfies Record<ErrorCode, status>;

/** The error code of a status that carries no details of ours. */
const codeOf: Readonly<Partial<Record<number, ErrorCode>>> = {
  [status.CANCELLED]: "unavailable",
  [status.INVALID_ARGUMENT]: "invalid_argument",
  [status.DEADLINE_EXCEEDED]: "deadline",
  [status.NOT_FOUND]: "not_found",
  [status.ALREADY_EXISTS]: "exists",
  [status.PERMISSION_DENIED]: "denied",
  [status.RESOURCE_EXHAUSTED]: "limit",
  [status.FAILED_PRECONDITION]: "stale",
  [status.ABORTED]: "conflict",
  [status.OUT_OF_RANGE]: "invalid_argument",
  [status.UNIMPLEMENTED]: "not_supported",
  [status.UNAVAILABLE]: "unavailable",
  [status.UNAUTHENTICATED]: "unauthenticated",
};

const errorDomain = "ashlar.dev";
const detailsKey = "grpc-status-details-bin";
const messageCharsMax = 2048; // all trailers share one header list, and clients commonly accept 8 KiB

/** The cause of an error about fields: which fields, and what is wrong with each. */
class FieldViolations {
  readonly list: readonly FieldViolation[];

  constructor(list: readonly FieldViolation[]) {
    this.list = list;
  }
}

/** Returns an `invalid_argument` or `invalid_policy` error that names its fields. */
export function invalidFields(
  code: "invalid_argument" | "invalid_policy",
  message: string,
  violations: readonly FieldViolation[],
): AshlarError {
  return new AshlarError(code, message, { cause: new FieldViolations(violations) });
}

/** Returns the fields that `error` names, or an empty list. */
export function violationsOf(error: AshlarError): readonly FieldViolation[] {
  return error.cause instanceof FieldViolations ? error.cause.list : [];
}

export interface GrpcStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/**
 * Returns the status for whatever was thrown. A fault of our own becomes "internal error" without details; a disk error
 * says what is wrong with the disk.
 */
export function toGrpcStatus(error: unknown): GrpcStatus {
  const known = tellable(error);
  const ashlarCode = known.code;
  const message = known.message.slice(0, messageCharsMax);
  const isInput = ashlarCode === "invalid_argument" || ashlarCode === "invalid_policy";
  const named = violationsOf(known);
  const violations = named.length > 0 ? named : [{ field: "", description: message }];
  const details: StatusDetails = {
    code: statusOf[ashlarCode],
    message,
    reason: ashlarCode.toUpperCase(),
    domain: errorDomain,
    violations: isInput ? violations : [],
  };
  const metadata = new Metadata();
  metadata.set(detailsKey, Buffer.from(encodeStatusDetails(details)));
  return { code: details.code, details: message, metadata };
}

/** Returns the error that a caller may see for whatever was thrown. A fault of our own becomes "internal error". */
export function tellable(error: unknown): AshlarError {
  if (error instanceof AshlarError && error.code !== "internal") return error;
  const fault = error instanceof AshlarError ? undefined : diskFaultOf(error);
  if (fault === undefined) return new AshlarError("internal", "internal error");
  return new AshlarError("unavailable", `the server cannot write: ${fault}`);
}

/**
 * Returns the AshlarError behind a failed call. An answer of another server than Ashlar's is judged by its status
 * alone.
 */
export function fromServiceError(error: ServiceError): AshlarError {
  const details = detailsOf(error);
  const reason = details?.domain === errorDomain ? details.reason.toLowerCase() : "";
  const code = errorCodes.find((one) => one === reason) ?? codeOf[error.code] ?? "internal";
  const message =
    error.details === "" ? `the call failed: ${status[error.code] ?? error.code}` : plainly(error.details);
  const named = details?.violations.filter((violation) => violation.field !== "") ?? [];
  return new AshlarError(code, message, { cause: named.length > 0 ? new FieldViolations(named) : error });
}

/** Removes the words that grpc-js puts around the reason why it has no connection. */
function plainly(details: string): string {
  const [, why] = /^No connection established\. Last error: (?:Error: )?(.*)\. Resolution note: /s.exec(details) ?? [];
  return why === undefined ? details : why;
}

function detailsOf(error: ServiceError): StatusDetails | undefined {
  const [bytes] = error.metadata?.get(detailsKey) ?? [];
  if (!(bytes instanceof Uint8Array)) return undefined;
  try {
    return decodeStatusDetails(bytes);
  } catch {
    return undefined; // malformed details do not hide the status
  }
}
