import { type Answer, deadlineAnswer, overloadAnswer } from "./answer.js";
import type { Call } from "./forward/call.js";
import type { ProxyEngine } from "./forward/proxy-engine.js";

/** What is asked of every call before anything is done for it; starts its deadline. undefined: go on. */
export function refusalBefore(
  call: Call,
  { overload, retries }: ProxyEngine,
  timeoutMs: number,
  revision: number | undefined,
): Answer | undefined {
  if (timeoutMs === 0) return deadlineAnswer(revision);
  const cause = overload.refuses();
  if (cause !== undefined) return overloadAnswer(cause, overload.limits.pushbackMs, revision);
  retries.earn(call.startedMs);
  if (timeoutMs > 0) call.setTimeout(timeoutMs);
  return undefined;
}
