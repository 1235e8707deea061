/** Whether and when a call is tried again by policy (gRFC A6). Pure. */
import type { CompiledRetry } from "../policy/compiled-route.js";

/** What is known when a try has failed. */
export interface FailedTry {
  /** The gRPC code it came to. */
  readonly code: number;
  /** Tries until now, this one among them. */
  readonly tries: number;
  /** `grpc-retry-pushback-ms`: undefined: not sent; negative or not a number: the server says no. */
  readonly pushbackMs: number | undefined;
}

export type RetryDecision = { readonly again: true; readonly waitMs: number } | { readonly again: false };

const no: RetryDecision = Object.freeze({ again: false });

/**
 * Says whether a call whose response headers have not been passed on is tried again. `draw`, uniform in [0, 1), makes the
 * jitter. Its caller sees to what only it knows: the budget, the deadline, and whether the request is still kept.
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

/** `grpc-retry-pushback-ms` as a number: -1 for whatever is not a number of milliseconds (gRFC A6: "do not retry"). */
export function parsePushback(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : -1;
}
