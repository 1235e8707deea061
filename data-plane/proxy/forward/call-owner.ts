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

/** Is called when a call no longer waits for it. */
export interface Leaving {
  leave(): void;
  /** So many bytes of the request came meanwhile and are kept; `ended`: they are the last. */
  requestGrew?(bytes: number, ended: boolean): void;
  /** Where a response comes from that was begun by `CallFacts.beginReply`: it hears how many bytes the caller took. */
  readonly reply?: { consumed(bytes: number): void };
}

/** Tries a call again after failures, or beside the try that is upstream. */
export interface Retrying extends Leaving {
  /** Tries until now, the one that is upstream or waited for among them. */
  readonly tries: number;
  /** A try is upstream. */
  began(): void;
  /** Bytes of the request were passed to the try that is upstream. */
  passed(bytes: Uint8Array, start: number, end: number): void;
  /** Returns after how many milliseconds a call whose try failed with `code` is tried again, or -1: it is not. */
  afterMs(code: number, pushback: string | undefined): number;
  /** A try failed with `code`, and too much of the request was sent for it to be kept. Returns false: nothing is tried. */
  notKept(code: number): false;
  /** Has the call sent again after `waitMs`, unless it ends before. */
  wait(waitMs: number): void;
  /** Whether another try, which is open beside the one that was refused, has become the call's. */
  takesOver(): boolean;
  /** The try is over. */
  stop(): void;
  /** The call has its answer, or ends: nothing more is tried. */
  settle(): void;
}

/** Decides about calls of type `Call`. */
export interface CallOwner<Call> {
  readonly direction: Direction;
  /** The labels of the called proxy. */
  readonly labels: ReadonlyMap<string, string>;
  /** Whether its calls come from clients outside the mesh. */
  readonly isForClients: boolean;
  /** Whether the upstream is a peer proxy, whose revision and decision are passed on. */
  readonly fromPeer: boolean;
  /** Monotonic time in milliseconds, read once per turn of the event loop. */
  nowMs(): number;
  /** Calls `timed.onDue` once `dueMs` has passed. */
  watch(timed: Timed, dueMs: number): void;
  unwatch(timed: Timed): void;
  /**
   * The upstream surely processed nothing: the call waits to be sent elsewhere. `isLeaving`: the connection accepts no
   * more calls.
   */
  sendAgain(call: Call, isLeaving: boolean): void;
  /**
   * The destination's proxy says that no application saw anything of the call. Returns whether there is another endpoint
   * than those that the call was sent to, this one included, and it may be sent once more. It is to be carried then.
   */
  mayGoElsewhere(call: Call, endpoint: string): boolean;
  /** Sends a call, whose fields are kept, as soon as there is a stream for it, or answers it. */
  carry(call: Call): void;
  /**
   * An attempt ended that was sent to `endpoint` (as the pool names it) `tookMs` ago. If it was answered, `call` has
   * the code.
   */
  attemptEnded(call: Call, endpoint: string, outcome: AttemptOutcome, tookMs: number): void;
  /** Warns about header fields that exceed what one side accepts. */
  readonly oversized: SeldomLog;
  /** `call` is over. */
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

/** What was decided about a call. Calls share the arrays. */
export interface ForwardPlan {
  /** Fields sent before and after the request's own fields. */
  readonly first: readonly PreparedField[];
  readonly last: readonly PreparedField[];
  /** The revision by which this proxy judged the call. */
  readonly revision: number;
  /** The upstream is outside the mesh: what it says of revisions and decisions is not passed on. */
  readonly isOutside?: boolean;
  /**
   * The fields that the route removes from the request; those that it adds are in `last`. If left out, as with
   * `response`, nothing changes.
   */
  readonly request?: FieldChanges;
  /** What the route changes in the head of a response. */
  readonly response?: FieldChanges;
}
