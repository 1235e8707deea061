import { status } from "@grpc/grpc-js";
import type { SpiffeId } from "../../../core/identity.js";
import type { CompiledRouteRule } from "../../../core/policy/compile.js";
import type { CallInputs } from "../../../core/policy/condition/frame.js";
import type { FieldBlock } from "../../http2/field-block.js";
import { fieldName } from "../../http2/field-names.js";
import { errorCode } from "../../http2/protocol.js";
import { type Stream, type StreamSink, sendState } from "../../http2/stream.js";
import {
  type Answer,
  type AnswerReason,
  badResponseAnswer,
  deadlineAnswer,
  lostAnswer,
  noRoomAnswer,
  noTrailersAnswer,
  tooLongAnswer,
} from "../answer.js";
import { renderGrpcTimeout } from "../grpc-timeout.js";
import type { OpenCall } from "../open-calls.js";
import type { Direction, EndedCall } from "../proxy-metrics.js";
import { dropReservedFields } from "../request-head.js";
import type { CallOwner, ForwardPlan } from "./call-owner.js";
import type { Timed } from "./deadline-wheel.js";
import { excessFor, excessHere, isAnswered } from "./header-limits.js";
import { KeptFields } from "./kept-fields.js";
import { KeptMessages, noBytes } from "./kept-messages.js";
import { passTrailers, sendAnswer } from "./response-fields.js";
import type { UpstreamSession } from "./upstream-session.js";

/** A client that does not take the end of its call gets a reset after this long. */
const endGraceMs = 5000;

/** One call: the sink of the caller's stream and of the upstream's. */
export class Call implements StreamSink, OpenCall, CallInputs, Timed, EndedCall {
  readonly #owner: CallOwner;
  readonly #inbound: Stream;
  #upstream: Stream | null = null;
  #session: UpstreamSession | null = null;
  readonly service: string;
  /** "package.Service/Method". */
  readonly method: string;
  readonly caller: SpiffeId;
  readonly sourceAddress: string | undefined;
  /** When it began, by the calendar: for conditions. */
  nowMs = 0;
  claims: CallInputs["claims"];
  tokenIssuer: CallInputs["tokenIssuer"];
  sourceLabels: CallInputs["sourceLabels"];
  /** By the owner's clock; -1: none. */
  dueAtMs = -1;
  readonly startedMs: number;
  plan: ForwardPlan | null = null;
  /** The route's rule that fits, for choosing a version. */
  rule: CompiledRouteRule | undefined;
  /** Uniform in [0, 1): which version of the rule's split it gets. */
  versionDraw = 0;
  attempts = 0;
  /** What it waits for before it can be sent; null: nothing. */
  waiting: { leave(): void } | null = null;
  /** Endpoints that were tried, where one failed. */
  tried: Set<string> | undefined;
  /** The request's fields. */
  #kept = KeptFields.none;
  /** Its messages, while they may have to be sent (again); null: they were too long, or are answered. */
  #messages: KeptMessages | null;
  /** Bytes sent for the second time: the caller has been told already that they were taken. */
  #resent = 0;
  #requestEnded: boolean;
  #finished = false;
  #over = false;
  code: status = status.CANCELLED;
  reason: AnswerReason | undefined;
  tookMs = 0;
  nextOpen: OpenCall | null = null;
  beforeOpen: OpenCall | null = null;
  isOpen = false;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelBefore: Timed | null = null;
  dueMs = 0;

  constructor(
    owner: CallOwner,
    inbound: Stream,
    service: string,
    method: string,
    caller: SpiffeId,
    sourceAddress: string | undefined,
    requestEnded: boolean,
    nowMs: number,
  ) {
    this.#owner = owner;
    this.#inbound = inbound;
    this.#messages = new KeptMessages(inbound.connection.budget);
    this.service = service;
    this.method = method;
    this.caller = caller;
    this.sourceAddress = sourceAddress;
    this.#requestEnded = requestEnded;
    this.startedMs = nowMs;
  }

  /** What conditions ask about the call, as it began: the same when it is judged again. */
  get inputs(): CallInputs {
    return this;
  }

  get destinationLabels(): ReadonlyMap<string, string> {
    return this.#owner.labels;
  }

  header(name: string): string | undefined {
    return this.#kept.header(name);
  }

  get direction(): Direction {
    return this.#owner.direction;
  }

  /** It is over or has been answered: nothing may be sent upstream for it any more. */
  get settled(): boolean {
    return this.#finished || this.#over;
  }

  /** Its time is over. */
  get isLate(): boolean {
    return this.dueAtMs >= 0 && this.#owner.nowMs() >= this.dueAtMs;
  }

  /** Sets when it must be over; `timeoutMs` counts from its start. */
  setTimeout(timeoutMs: number): void {
    this.dueAtMs = this.startedMs + timeoutMs;
    this.#owner.watch(this, this.dueAtMs);
  }

  /** Keeps the request's fields, which are valid now only: for conditions, and for sending them later. */
  keep(fields: FieldBlock): void {
    this.#kept = KeptFields.of(fields);
    this.#inbound.keptBytes = this.#kept.bytes;
    this.#inbound.connection.budget.take(this.#kept.bytes);
  }

  /**
   * Sends the call to a session with room; `fields`: the request's, if they are as received this very turn, or null:
   * those that were kept are sent. False: the session has no room after all.
   */
  send(session: UpstreamSession, fields: FieldBlock | null): boolean {
    const { plan } = this;
    if (fields === null && this.isLate) this.onDue();
    if (plan === null || this.settled) return true;
    const all = fields ?? this.restore();
    if (isAnswered(this, this.#owner, "request", excessFor(session.connection.peer, plan.first, all, plan.last, this)))
      return true;
    const upstream = session.connection.open(this, fields === null ? this.#owner.nowMs() : this.startedMs);
    if (upstream === null) return false;
    this.attempts++;
    this.#upstream = upstream;
    this.#session = session;
    const messages = this.#messages;
    const ends = this.#requestEnded && (messages === null || messages.bytes === 0);
    upstream.sendFields(plan.first, fields ?? this.restore(), plan.last, ends);
    if (messages !== null && messages.bytes > 0) {
      this.#resent = Math.max(0, messages.bytes - this.#inbound.unconsumed);
      this.#tookRequest(upstream.sendData(messages.block, 0, messages.bytes, this.#requestEnded));
    }
    return true;
  }

  /** The fields that were kept, with the time that is left; valid until the next are restored. */
  restore(): FieldBlock {
    const fields = this.#kept.restore();
    if (this.dueAtMs >= 0) fields.add("grpc-timeout", renderGrpcTimeout(this.dueAtMs - this.#owner.nowMs()));
    return fields;
  }

  /** The upstream has taken so much of the request: the caller may send as much. */
  #tookRequest(bytes: number): void {
    const again = Math.min(this.#resent, bytes);
    this.#resent -= again;
    this.#inbound.consumed(bytes - again);
  }

  // === From the caller ===

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    if (stream.oversized) {
      stream.consumed(end - start);
      this.answer(tooLongAnswer(stream.connection.limits.messageBytesMax, this.plan?.revision));
      return;
    }
    if (stream !== this.#inbound) {
      stream.consumed(this.#inbound.sendData(bytes, start, end, false));
      if (endStream && !this.#finished) this.answer(noTrailersAnswer(this.plan?.revision));
      return;
    }
    if (endStream) this.#requestEnded = true;
    if (this.settled) {
      stream.consumed(end - start);
      return;
    }
    const upstream = this.#upstream;
    const messages = this.#messages;
    if (upstream === null) {
      // Between attempts the caller's window bounds it.
      if (messages?.addWaiting(bytes, start, end) === false) this.answer(noRoomAnswer(this.plan?.revision));
      return;
    }
    if (messages?.addSent(bytes, start, end) === false) this.#forget();
    this.#tookRequest(upstream.sendData(bytes, start, end, endStream));
  }

  #forget(): void {
    this.#messages?.release();
    this.#messages = null;
  }

  onTrailers(stream: Stream, fields: FieldBlock): void {
    // Trailers of a request say nothing in gRPC: they end it.
    if (stream === this.#inbound) this.onData(stream, noBytes, 0, 0, true);
    else this.#finish(fields);
  }

  // === From the upstream ===

  onResponse(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    this.#forget();
    if (endStream && fields.find(fieldName.grpcStatus) >= 0) {
      this.#finish(fields);
      return;
    }
    const { check } = stream.connection.headers;
    const bad = badResponseAnswer(check.status, endStream, stream.framed, this.plan?.revision);
    if (bad !== undefined) this.answer(bad);
    else {
      dropReservedFields(fields, false);
      const excess = excessFor(this.#inbound.connection.peer, null, fields, null, null);
      if (!isAnswered(this, this.#owner, "response", excess)) this.#inbound.sendFields(null, fields, null, false);
    }
  }

  onOversized(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    this.#forget();
    const excess = excessHere(this.direction, stream.connection.limits.headerListBytesMax);
    if (endStream && fields.find(fieldName.grpcStatus) >= 0) this.#finish(fields, excess);
    else isAnswered(this, this.#owner, "response", excess);
  }

  onTaken(stream: Stream, bytes: number): void {
    if (stream === this.#inbound) {
      this.#upstream?.consumed(bytes);
      if (this.#finished) this.#endIfSent();
    } else if (stream === this.#upstream) this.#tookRequest(bytes);
  }

  onReset(stream: Stream, code: number, _byPeer: boolean, unprocessed: boolean): void {
    if (stream === this.#inbound) {
      this.#cancelUpstream();
      this.#end();
      return;
    }
    if (stream !== this.#upstream) return;
    this.#upstream = null;
    this.#session?.released();
    if (this.settled) return;
    if (unprocessed && this.#messages !== null) this.#owner.sendAgain(this, stream.connection.control.draining);
    else this.answer(lostAnswer(code, unprocessed, stream.connection.dead, this.plan?.revision));
  }

  /** The upstream's status is here: `fields` end the call. `excess`: they are not all there, for this. */
  #finish(fields: FieldBlock, excess = ""): void {
    if (this.settled) return;
    this.#finished = true;
    const code = passTrailers(this.#owner, this, this.#inbound, fields, excess);
    this.code = code < 0 ? status.UNKNOWN : code;
    this.#leaveUpstream();
    this.#endIfSent();
  }

  /** A server that answered early does not want the rest of the request. */
  #leaveUpstream(): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    this.#upstream = null;
    if (upstream.sending !== sendState.ended && !upstream.closed) upstream.reset(errorCode.noError);
    this.#session?.released();
  }

  // === From the proxy ===

  /** Ends the call with an answer of the proxy's own and cancels what is upstream. */
  answer(answer: Answer): void {
    // The upstream's answer is whole but the caller does not take it, and now it is too late or refused.
    if (this.#finished && !this.#over && this.reason === undefined) this.#cut();
    if (this.settled) return;
    this.#finished = true;
    this.code = answer.code;
    this.reason = answer.reason;
    this.waiting?.leave();
    this.#cancelUpstream();
    sendAnswer(this.#inbound, answer);
    if (this.#endIfSent()) return;
    this.#owner.watch(this, this.#owner.nowMs() + endGraceMs);
  }

  /** The deadline, or the time that a caller has to take the end. */
  onDue(): void {
    if (this.#over) return;
    if (this.#finished) this.#cut();
    else this.answer(deadlineAnswer(this.plan?.revision));
  }

  #cut(): void {
    this.#inbound.reset(errorCode.cancel);
    this.#cancelUpstream();
    this.#end();
  }

  #cancelUpstream(): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    this.#upstream = null;
    this.#session?.cancel(upstream);
  }

  #endIfSent(): boolean {
    if (this.#inbound.sending !== sendState.ended && !this.#inbound.closed) return false;
    this.#end();
    return true;
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.waiting?.leave();
    this.#forget();
    this.#inbound.connection.budget.give(this.#kept.bytes);
    this.#kept.release();
    this.#kept = KeptFields.none;
    if (this.wheelSlot >= 0) this.#owner.unwatch(this);
    this.tookMs = this.#owner.nowMs() - this.startedMs;
    this.#owner.ended(this);
  }
}
