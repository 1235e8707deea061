/**
 * The seam between what the proxy decides and how bytes move: a call with its plan, and an upstream that was
 * picked for it. Below this line nothing is decided any more.
 */
import type { PreparedField } from "../../http2/prepared-field.js";
import type { Direction } from "../proxy-metrics.js";
import type { Call } from "./call.js";
import type { Timed } from "./deadline-wheel.js";
import type { SeldomLog } from "./seldom-log.js";

/** Who decides about a call. */
export interface CallOwner {
  readonly direction: Direction;
  /** Of the proxy that is called. */
  readonly labels: ReadonlyMap<string, string>;
  /** The upstream is a peer proxy: what it says about revision and decision passes. */
  readonly fromPeer: boolean;
  /** Monotonic; as exact as a turn of the event loop. */
  nowMs(): number;
  /** Has `call.onDue` called then. */
  watch(call: Timed, dueMs: number): void;
  unwatch(call: Timed): void;
  /** The upstream surely processed nothing: the call waits to be sent elsewhere. `isLeaving`: its connection ends. */
  sendAgain(call: Call, isLeaving: boolean): void;
  /** Told of header fields that are more than somebody takes. */
  readonly oversized: SeldomLog;
  /** It is over. */
  ended(call: Call): void;
}

/** What was decided about a call; arrays are shared by calls. */
export interface ForwardPlan {
  /** Before and after the request's own fields. */
  readonly first: readonly PreparedField[];
  readonly last: readonly PreparedField[];
  /** The revision that judged the call here. */
  readonly revision: number;
}
