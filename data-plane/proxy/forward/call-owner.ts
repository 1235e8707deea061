/**
 * The seam between what the proxy decides and how bytes move: a call with its plan, and an upstream that was
 * picked for it. Below this line nothing is decided any more.
 */
import type { PreparedField } from "../../http2/prepared-field.js";
import type { Answer } from "../answer.js";
import type { Direction } from "../proxy-metrics.js";
import type { AttemptOutcome } from "./attempt-outcome.js";
import type { Timed } from "./deadline-wheel.js";
import type { FieldChanges } from "./field-changes.js";
import type { SeldomLog } from "./seldom-log.js";

/** Is told when a call no longer waits for it. */
export interface Leaving {
  leave(): void;
}

/** Tries a call again after failures. */
export interface Retrying extends Leaving {
  /** Tries until now, the one that is upstream or waited for among them. */
  readonly tries: number;
  /** A try is upstream. */
  began(): void;
  /** Returns after how many milliseconds a call whose try failed with `code` is tried again, or -1: it is not. */
  afterMs(code: number, pushback: string | undefined): number;
  /** Has the call sent again after `waitMs`, unless it ends before. */
  wait(waitMs: number): void;
  /** The try is over, or has been answered. */
  stop(): void;
}

/** Decides about calls of type `Call`. */
export interface CallOwner<Call> {
  readonly direction: Direction;
  /** The labels of the proxy that is called. */
  readonly labels: ReadonlyMap<string, string>;
  /** Whether the upstream is a peer proxy: what it says about revision and decision passes. */
  readonly fromPeer: boolean;
  /** Monotonic milliseconds; as exact as a turn of the event loop. */
  nowMs(): number;
  /** Has `timed.onDue` called when `dueMs` has passed. */
  watch(timed: Timed, dueMs: number): void;
  unwatch(timed: Timed): void;
  /** The upstream surely processed nothing: the call waits to be sent elsewhere. `isLeaving`: its connection ends. */
  sendAgain(call: Call, isLeaving: boolean): void;
  /** An attempt is over that was sent to `endpoint` (as the pool names it) `tookMs` ago; if it was answered, `call` has the code. */
  attemptEnded(call: Call, endpoint: string, outcome: AttemptOutcome, tookMs: number): void;
  /** Warns of header fields that are more than somebody takes. */
  readonly oversized: SeldomLog;
  /** `call` is over. */
  ended(call: Call): void;
}

/** A call as those see it who word its answers. */
export interface AnsweredCall {
  readonly direction: Direction;
  readonly service: string;
  readonly method: string;
  readonly plan: ForwardPlan | null;
  /** It is over or has been answered: nothing may be sent upstream for it any more. */
  readonly settled: boolean;
  /** Ends it with an answer of the proxy's own. */
  answer(answer: Answer): void;
}

/** What was decided about a call; arrays are shared by calls. */
export interface ForwardPlan {
  /** Before and after the request's own fields. */
  readonly first: readonly PreparedField[];
  readonly last: readonly PreparedField[];
  /** The revision that judged the call here. */
  readonly revision: number;
  /** What the route takes from the request; what it adds is in `last`. Left out, like `response`: it changes nothing. */
  readonly request?: FieldChanges;
  /** What the route changes of the head of a response. */
  readonly response?: FieldChanges;
}
