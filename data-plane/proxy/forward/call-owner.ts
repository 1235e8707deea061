/**
 * The seam between deciding about calls and moving their bytes: a call with its plan, and the upstream that was picked
 * for it. Nothing behind this seam decides.
 */
import type { PreparedField } from "../../http2/prepared-field.js";
import type { Answer } from "../answer.js";
import type { Direction } from "../proxy-metrics.js";
import type { AttemptOutcome } from "./attempt-outcome.js";
import type { Timed } from "./deadline-wheel.js";
import type { FieldChanges } from "./field-changes.js";
import type { SeldomLog } from "./seldom-log.js";

/** Has a call that waits. `leave` is called when the call no longer waits. */
export interface Leaving {
  leave(): void;
  /** Called when `bytes` of the request arrived meanwhile and were kept. `ended`: they were the last ones. */
  requestGrew?(bytes: number, ended: boolean): void;
  /** The source of a response that `CallFacts.beginReply` began. It is told how many bytes the caller took. */
  readonly reply?: { consumed(bytes: number): void };
}

/** Tries a call again after failures, or at another instance while the first attempt is upstream. */
export interface Retrying extends Leaving {
  /** The number of tries so far, including the one that is upstream or waited for. */
  readonly tries: number;
  /** Called when a try was sent upstream. */
  began(): void;
  /** Called when bytes of the request were passed to the try that is upstream. */
  passed(bytes: Uint8Array, start: number, end: number): void;
  /** Returns after how many milliseconds a call whose try failed with `code` is tried again. -1: it is not. */
  afterMs(code: number, pushback: string | undefined): number;
  /**
   * Called when a try failed with `code` but too much of the request was sent for keeping it. Returns false: no new
   * try.
   */
  notKept(code: number): false;
  /** Sends the call again after `waitMs`, unless the call ends before. */
  wait(waitMs: number): void;
  /** Returns whether another open try has become the call's attempt in place of the refused one. */
  takesOver(): boolean;
  /** Called when the current try is over. */
  stop(): void;
  /** Called when the call has its answer or ends. Nothing more is tried. */
  settle(): void;
}

/** Decides about calls of type `Call`. Implemented by both sides. */
export interface CallOwner<Call> {
  readonly direction: Direction;
  /** The labels of the called proxy, for conditions. */
  readonly labels: ReadonlyMap<string, string>;
  /** Whether the calls come from clients outside the mesh. */
  readonly isForClients: boolean;
  /** Whether the upstream is a peer proxy, whose revision and decision are passed on. */
  readonly fromPeer: boolean;
  /** Monotonic time in milliseconds, read once per turn of the event loop. */
  nowMs(): number;
  /** Calls `timed.onDue` when `dueMs` has passed. */
  watch(timed: Timed, dueMs: number): void;
  unwatch(timed: Timed): void;
  /**
   * Called when the upstream surely processed nothing: the owner sends the call elsewhere. `isLeaving`: the connection
   * accepts no more calls.
   */
  sendAgain(call: Call, isLeaving: boolean): void;
  /**
   * Called when the destination's proxy says that no application saw anything of the call. Returns true if the call may
   * be sent once more and an endpoint is left that it was not sent to. The caller then has to `carry` the call.
   */
  mayGoElsewhere(call: Call, endpoint: string): boolean;
  /** Sends a call, whose fields are kept, as soon as a stream is free, or answers the call. */
  carry(call: Call): void;
  /**
   * Called when the attempt at `endpoint` (its name in the pool), sent `tookMs` ago, ended. `call` has the code if
   * there was an answer.
   */
  attemptEnded(call: Call, endpoint: string, outcome: AttemptOutcome, tookMs: number): void;
  /** Warns about header fields that exceed what one side accepts. */
  readonly oversized: SeldomLog;
  /** Called when `call` is over. */
  ended(call: Call): void;
}

/** A call as the code that words its answers sees it. */
export interface AnsweredCall {
  readonly direction: Direction;
  readonly service: string;
  readonly method: string;
  readonly plan: ForwardPlan | null;
  /** Whether the call is over or answered: nothing more may be sent upstream for it. */
  readonly settled: boolean;
  /** Ends the call with an answer of the proxy's own. */
  answer(answer: Answer): void;
}

/** What was decided about forwarding a call. Calls share the arrays. */
export interface ForwardPlan {
  /** Fields sent before and after the request's own fields. */
  readonly first: readonly PreparedField[];
  readonly last: readonly PreparedField[];
  /** The revision by which this proxy judged the call. */
  readonly revision: number;
  /** Whether the upstream is outside the mesh. Revisions and decisions that it states are not passed on. */
  readonly isOutside?: boolean;
  /**
   * The fields that the route removes from the request. Those that it adds are in `last`. Left out: nothing is removed.
   */
  readonly request?: FieldChanges;
  /** What the route changes in the head of a response. Left out: nothing. */
  readonly response?: FieldChanges;
}
