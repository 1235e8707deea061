/**
 * The answers that the proxy gives itself. Each is HTTP 200 with a gRPC status in the only header block
 * (trailers-only).
 */

import { status } from "@grpc/grpc-js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import { headerNames } from "../../core/wire/headers.js";
import type { Field } from "../../core/wire/journal/fields.js";
import { errorCode } from "../http2/protocol.js";
import type { OverloadCause } from "./overload.js";

/** A response of the application that the proxy kept as a whole. */
export interface Reply {
  /** The response's header fields without `:status`. Its trailers, without `grpc-status`, follow below. */
  readonly head: readonly Field[];
  readonly trailers: readonly Field[];
  /** The response's messages with their gRPC prefixes. */
  readonly bytes: Uint8Array;
  readonly code: number;
  /** The value of `ashlar-sequence` that the caller gets. 0: the header is left out. */
  readonly sequence: number;
}

export interface Answer {
  readonly code: status;
  readonly message: string;
  /** The revision that judged the call. undefined: the proxy has no revision. */
  readonly revision: number | undefined;
  /** The id of the decision. It is present on refusals by policy. */
  readonly decision: string | undefined;
  /** The label `reason` in metrics. undefined: `reply` is the application's answer. */
  readonly reason: AnswerReason | undefined;
  /** The application's response. It is sent instead of everything else in the answer except the revision. */
  readonly reply?: Reply;
  /** The value of `ashlar-sequence`. Left out: the header is left out. */
  readonly sequence?: number;
  /**
   * The value of `grpc-retry-pushback-ms`: whole milliseconds to wait before a retry; undefined: the header is left
   * out.
   */
  readonly pushbackMs?: number;
  /** True: no application saw anything of the call, so the caller's proxy may send the call to another instance. */
  readonly isUnprocessed?: boolean;
}

const graceMs = { answer: 5000, reply: 60_000 };

/**
 * Returns how long a client may leave the end of its call untaken before the stream is reset: a reply may be longer than
 * what a stream's window takes at once.
 */
export function graceMsOf({ reply }: Answer): number {
  return reply === undefined ? graceMs.answer : graceMs.reply;
}

export const answerReasons = [
  "denied",
  "not-direct",
  "rate-limit",
  "not-exposed",
  "token",
  "no-revision",
  "unknown-service",
  "no-endpoint",
  "breaker",
  "fault",
  "stale",
  "no-application",
  "overload",
  "unreachable",
  "deadline",
  "reset",
  "broken",
  "certificate",
  "draining",
  "internal",
  "message-limit",
  "header-limit",
  "memory",
  "journal",
  "not-applied",
  "malformed",
] as const;
export type AnswerReason = (typeof answerReasons)[number];

/** The answer to a call that policy refuses. It names the decision and the revision, never a rule. */
export function deniedAnswer(decision: string, revision: number): Answer {
  const message = `denied (decision ${decision}, revision ${revision})`;
  return { code: status.PERMISSION_DENIED, message, revision, decision, reason: "denied" };
}

/** The answer to a call that came without the caller's proxy and may not. */
export function notDirectAnswer(decision: string, revision: number): Answer {
  const message = `only reads that a Journal lets go direct may come without the caller's proxy (decision ${decision}, revision ${revision})`;
  return { code: status.PERMISSION_DENIED, message, revision, decision, reason: "not-direct" };
}

/** The answer to a call over a rate limit. It names the decision and the revision, never the limit. */
export function limitedAnswer(decision: string, revision: number, pushbackMs: number): Answer {
  const message = `over a rate limit (decision ${decision}, revision ${revision})`;
  return { code: status.RESOURCE_EXHAUSTED, message, revision, decision, reason: "rate-limit", pushbackMs };
}

/** The answer to a call without a valid token where policy asks for one. It tells the caller nothing more. */
export function tokenAnswer(decision: string, revision: number, isMissing: boolean): Answer {
  const what = isMissing ? "a token is asked for" : "the token is not accepted";
  const message = `${what} (decision ${decision}, revision ${revision})`;
  return { code: status.UNAUTHENTICATED, message, revision, decision, reason: "token" };
}

export function unavailableAnswer(reason: AnswerReason, message: string, revision: number | undefined): Answer {
  return { code: status.UNAVAILABLE, message, revision, decision: undefined, reason };
}

/** Returns the same answer for a call of which no application saw anything. The destination's proxy gives it. */
export function unprocessedAnswer(reason: AnswerReason, message: string, revision: number | undefined): Answer {
  return { ...unavailableAnswer(reason, message, revision), isUnprocessed: true };
}

/** The answer to a call while this process has no room. Another instance, or a later retry, may have room. */
export function overloadAnswer(cause: OverloadCause, pushbackMs: number, revision: number | undefined): Answer {
  const message = `the proxy is overloaded (${cause})`;
  return { ...unavailableAnswer("overload", message, revision), pushbackMs };
}

export function tooLongAnswer(bytesMax: number, revision: number | undefined): Answer {
  return exhausted("message-limit", `a message is longer than ${bytesMax} bytes`, revision);
}

/** The answer to a call whose request or response headers are too large. `excess` says by what limit, and whose. */
export function headersAnswer(part: "request" | "response", excess: string, revision: number | undefined): Answer {
  return exhausted("header-limit", `the ${part}'s header fields are ${excess}`, revision);
}

export function noRoomAnswer(revision: number | undefined): Answer {
  return exhausted("memory", "the proxy has no room for the request", revision);
}

function exhausted(reason: AnswerReason, message: string, revision: number | undefined): Answer {
  return { code: status.RESOURCE_EXHAUSTED, message, revision, decision: undefined, reason };
}

/** The answer to a copied call that writes to a service whose policy journals writes. Copies never reach a journal. */
export function copiedWriteAnswer(revision: number | undefined): Answer {
  const message = "a copy of a write is not written to the journal";
  return { code: status.FAILED_PRECONDITION, message, revision, decision: undefined, reason: "journal" };
}

/** The answer to an operator's call that claims to replay a write but does not say which. */
export function malformedReplayAnswer(revision: number | undefined): Answer {
  const message = `${headerNames.replay} is no replayed write`;
  return { code: status.INVALID_ARGUMENT, message, revision, decision: undefined, reason: "journal" };
}

export function deadlineAnswer(revision: number | undefined): Answer {
  const message = "the deadline passed";
  return { code: status.DEADLINE_EXCEEDED, message, revision, decision: undefined, reason: "deadline" };
}

/** Returns why a response is not passed on, or undefined if it is. `framed`: the response has gRPC's content type. */
export function badResponseAnswer(
  httpStatus: number,
  endStream: boolean,
  framed: boolean,
  revision: number | undefined,
): Answer | undefined {
  if (httpStatus !== 200)
    return brokenAnswer(codeOfHttpStatus(httpStatus), `the upstream answered with HTTP ${httpStatus}`, revision);
  if (endStream) return brokenAnswer(status.INTERNAL, "the upstream answered without a grpc-status", revision);
  return framed ? undefined : brokenAnswer(status.INTERNAL, "the upstream did not answer in gRPC", revision);
}

/** The answer to a call whose upstream broke HTTP/2 or gRPC. */
function brokenAnswer(code: status, message: string, revision: number | undefined): Answer {
  return { code, message, revision, decision: undefined, reason: "broken" };
}

export function noTrailersAnswer(revision: number | undefined): Answer {
  return brokenAnswer(status.INTERNAL, "the upstream ended the call without trailers", revision);
}

/**
 * The answer to a call whose stream the upstream ended without a status. `dead`: its connection ended too. `isLate`: the
 * deadline may have passed at the upstream. Servers on grpc-go reset a stream with CANCEL then.
 */
export function lostAnswer(
  code: number,
  unprocessed: boolean,
  dead: boolean,
  revision: number | undefined,
  isLate = false,
): Answer {
  if (unprocessed) return unavailableAnswer("overload", "the upstream refused the call", revision);
  if (dead) return unavailableAnswer("reset", "the connection to the upstream was lost", revision);
  if (isLate && code === errorCode.cancel) return deadlineAnswer(revision);
  const message = `the upstream reset the call (HTTP/2 error ${code})`;
  return { code: codeOfReset(code), message, revision, decision: undefined, reason: "reset" };
}

export function internalAnswer(revision: number | undefined): Answer {
  const message = "internal error of the proxy";
  return { code: status.INTERNAL, message, revision, decision: undefined, reason: "internal" };
}

/** The answer to a call whose upstream could not be reached. */
export function answerFor(error: unknown, what: string, revision: number | undefined): Answer {
  const full = isAshlarError(error, "limit");
  return unavailableAnswer(full ? "overload" : "unreachable", `${what}: ${messageOf(error)}`, revision);
}

/** gRPC over HTTP/2, "Status-Message": everything but printable ASCII, and "%", is percent-encoded. */
export function percentEncode(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text.slice(0, 1024), "utf8")) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** Maps an HTTP/2 error code of a reset to a gRPC status (gRPC over HTTP/2, "HTTP2 Transport Mapping"). */
export function codeOfReset(errorCode: number): status {
  switch (errorCode) {
    case 0x7: // REFUSED_STREAM
      return status.UNAVAILABLE;
    case 0x8: // CANCEL
      return status.CANCELLED;
    case 0xb: // ENHANCE_YOUR_CALM
      return status.RESOURCE_EXHAUSTED;
    case 0xc: // INADEQUATE_SECURITY
      return status.PERMISSION_DENIED;
    default:
      return status.INTERNAL;
  }
}

/** Maps an HTTP status without grpc-status to a gRPC status (gRPC's doc/http-grpc-status-mapping.md). */
export function codeOfHttpStatus(httpStatus: number): status {
  switch (httpStatus) {
    case 400:
    case 431:
      return status.INTERNAL;
    case 401:
      return status.UNAUTHENTICATED;
    case 403:
      return status.PERMISSION_DENIED;
    case 404:
      return status.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return status.UNAVAILABLE;
    default:
      return status.UNKNOWN;
  }
}
