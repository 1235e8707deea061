/** The interface between calls and what watches some of them: traces, the access log and taps. */
import type { FieldBlock } from "../http2/field-block.js";
import type { Call } from "./forward/call.js";

/** Watches calls. Its methods must not throw, and since they run for every call they decide by a few comparisons. */
export interface CallWatch {
  /**
   * Called when a call begins. May attach observers. `traceparent`: the index of that header field, or -1. Returns true
   * if it wrote the call's traceparent itself.
   */
  begun(call: Call, fields: FieldBlock, traceparent: number): boolean;
  /** Called when a call is over. The fields of its request can still be read. */
  ended(call: Call): void;
}
