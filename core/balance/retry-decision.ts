/** Decides whether and when policy lets a failed call be tried again (gRFC A6). Pure. */
import type { CompiledRetry } from "../policy/compiled-route.js";

/** What is known about a try that failed. */
export interface FailedTry {
  /** The gRPC status code of the try. */
  readonly code: number;
  /** The number of tries so far, this one included. */
  readonly tries: number;
  /**
   * The value of `grpc-retry-pushback-ms`, in milliseconds. undefined: the server sent none; negative: the server
   * forbids a retry.
   */
  readonly pushbackMs: number | undefined;
}

export type RetryDecision = { readonly again: true; readonly waitMs: number } | { readonly again: false };

const no: RetryDecision = Object.freeze({ again: false });

/**
 * Decides whether a call is tried again whose response headers have not been passed on yet. `draw`, uniform in [0, 1),
 * makes the jitter. The caller checks what only it knows: the retry budget, the deadline, and whether the request is
 * still buffered.
 */
export function decideRetry(
  policy: CompiledRetry,
  { code, tries, pushbackMs }: FailedTry,
  draw: number,
): RetryDecision {
  if (tries >= policy.attempts || !policy.on.has(code)) return no;
  if (pushbackMs !== undefined) return pushbackMs >= 0 ? { again: true, waitMs: pushbackMs } : no;
  const most = Math.min(policy.maxBackoffMs, policy.backoffMs * 2 ** (tries - 1));
  return { again: true, waitMs: draw * most };
}

/**
 * Parses `grpc-retry-pushback-ms`. Returns -1 for a text that is no number of milliseconds (gRFC A6: "do not retry").
 */
export function parsePushback(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : -1;
}
