/** Opens streams of one call beside the call's current attempt. */
import type { Stream, StreamSink } from "../../http2/stream.js";
import type { AttemptOutcome } from "../forward/attempt-outcome.js";
import type { Call } from "../forward/call.js";
import { excessFor } from "../forward/header-limits.js";
import type { UpstreamSession } from "../forward/upstream-session.js";

/**
 * Sends the request of `call` once more, on a stream whose events go to `sink`. Returns null if the session has no
 * room, and undefined if the call can use no further stream.
 */
export function openBeside(
  call: Call,
  session: UpstreamSession,
  sink: StreamSink,
  nowMs: number,
): Stream | null | undefined {
  const { plan, messages } = call;
  if (plan === null || !call.isTrying || !messages.isKept) return undefined;
  const fields = call.restore();
  plan.request?.drop(fields);
  if (excessFor(session.connection.peer, plan.first, fields, plan.last, call) !== "") return undefined;
  const stream = session.connection.open(sink, nowMs);
  if (stream === null) return null;
  call.attempts++;
  stream.sendFields(plan.first, fields, plan.last, messages.isEmpty);
  call.observer?.attemptStarted(call, session.name);
  messages.sendBeside(stream);
  return stream;
}

/** Is told when attempts end. */
export interface AttemptEnds {
  nowMs(): number;
  /** See `CallOwner.attemptEnded`. */
  attemptEnded(call: Call, endpoint: string, outcome: AttemptOutcome, tookMs: number): void;
}

/** Reports that a stream beside the attempt ended. `code`: its status. The call keeps its own code. */
export function noteEnd(
  ends: AttemptEnds,
  call: Call,
  stream: Stream,
  session: UpstreamSession,
  outcome: AttemptOutcome,
  code: number,
): void {
  const own = call.code;
  call.code = code;
  call.observer?.attemptEnded(call, outcome, session.name);
  ends.attemptEnded(call, session.name, outcome, ends.nowMs() - stream.openedAtMs);
  call.code = own;
}
