/** The seam between calls and what looks at some of them: traces, the access log and tap. */
import type { FieldBlock } from "../http2/field-block.js";
import type { Call } from "./forward/call.js";

/** Must not throw. Asked about every call, so it decides by a few comparisons whether a call is of interest. */
export interface CallWatch {
  /**
   * A call begins; `traceparent` is the place of that field, or -1. May attach observers to the call. Returns true if
   * it wrote the call's traceparent itself.
   */
  begun(call: Call, fields: FieldBlock, traceparent: number): boolean;
  /** A call is over; the fields of its request can still be read. */
  ended(call: Call): void;
}
