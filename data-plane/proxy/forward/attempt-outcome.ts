/**
 * How an attempt ended: the upstream gave the call a status; it surely processed nothing; it reset the stream; its
 * connection was lost; the attempt timed out before any response; or the call ended for another reason or went
 * elsewhere.
 */
export type AttemptOutcome = "answered" | "refused" | "reset" | "lost" | "silent" | "cancelled";
