import { status } from "@grpc/grpc-js";
import type { Verdict } from "../../../core/decision/decision-record.js";
import type { SpiffeId } from "../../../core/identity.js";
import type { FieldBlock } from "../../http2/field-block.js";
import { fieldName } from "../../http2/field-names.js";
import { errorCode } from "../../http2/protocol.js";
import { type Stream, type StreamSink, sendState } from "../../http2/stream.js";
import type { EvaluatedPolicy } from "../../ports.js";
import {
  type Answer,
  badResponseAnswer,
  deadlineAnswer,
  graceMsOf,
  lostAnswer,
  noRoomAnswer,
  noTrailersAnswer,
  tooLongAnswer,
} from "../answer.js";
import { meshField } from "../mesh-fields.js";
import type { OpenCall } from "../open-calls.js";
import { dropReservedFields } from "../reserved-fields.js";
import type { AttemptOutcome } from "./attempt-outcome.js";
import { CallFacts } from "./call-facts.js";
import type { CallObserver } from "./call-observer.js";
import type { CallOwner } from "./call-owner.js";
import { mayEnter, phase } from "./call-phase.js";
import type { Timed } from "./deadline-wheel.js";
import { excessFor, excessHere, isAnswered } from "./header-limits.js";
import { KeptFields } from "./kept-fields.js";
import { noBytes, RequestMessages } from "./request-messages.js";
import { grpcStatusOf, passTrailers, sendAnswer } from "./response-fields.js";
import type { UpstreamSession } from "./upstream-session.js";

/** One call. It receives the events of the caller's stream and of the upstream's stream. */
export class Call extends CallFacts implements StreamSink, OpenCall, Timed {
  declare protected readonly owner: CallOwner<Call>;
  /** The current attempt: its stream and its session; null if none is upstream. */
  #upstream: Stream | null = null;
  #session: UpstreamSession | null = null;
  /** The last attached observer; earlier ones are linked to it. */
  observer: CallObserver | null = null;
  readonly messages: RequestMessages;
  nextOpen: OpenCall | null = null;
  previousOpen: OpenCall | null = null;
  isOpen = false;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelBefore: Timed | null = null;
  dueMs = 0;

  constructor(
    owner: CallOwner<Call>,
    inbound: Stream,
    service: string,
    method: string,
    caller: SpiffeId,
    requestEnded: boolean,
    nowMs: number,
  ) {
    super(owner, inbound, service, method, caller, nowMs);
    this.messages = new RequestMessages(inbound, requestEnded);
  }

  /** Attaches `observer` to the call. An observer belongs to one call. */
  observe(observer: CallObserver): void {
    observer.before = this.observer;
    this.observer = observer;
  }

  judged(verdict: Verdict, policy: EvaluatedPolicy, decision: string | undefined): void {
    this.judgedBy = policy.revision;
    if (decision !== undefined) this.decision = decision;
    this.observer?.judged(this, verdict, policy, decision);
  }

  /** Sets the call's deadline; `timeoutMs` counts from its start. */
  setTimeout(timeoutMs: number): void {
    this.dueAtMs = this.startedMs + timeoutMs;
    this.owner.watch(this, this.dueAtMs);
  }

  /**
   * Begins an attempt on a session with room. `fields`: the request's fields if they arrived in this turn, or null to
   * send the kept ones. Returns false if the session has no room after all.
   */
  send(session: UpstreamSession, fields: FieldBlock | null): boolean {
    const { plan } = this;
    if (fields === null && this.isLate) this.onDue();
    if (plan === null || !mayEnter(this.phase, phase.trying)) return true;
    const all = fields ?? this.restore();
    plan.request?.drop(all);
    if (isAnswered(this, this.owner, "request", excessFor(session.connection.peer, plan.first, all, plan.last, this)))
      return true;
    const upstream = session.connection.open(this, fields === null ? this.owner.nowMs() : this.startedMs);
    if (upstream === null) return false;
    this.enter(phase.trying);
    this.attempts++;
    this.#upstream = upstream;
    this.#session = session;
    if (session.version !== "") this.version = session.version;
    this.lastEndpoint = session.name;
    upstream.sendFields(plan.first, all, plan.last, this.messages.isEmpty);
    this.observer?.attemptStarted(this, session.name);
    this.retry?.began();
    this.messages.sendKept(upstream);
    return true;
  }

  /** Puts a stream that was opened beside the current attempt in its place. Returns false if it is too late. */
  adopt(stream: Stream, session: UpstreamSession): boolean {
    if (this.phase !== phase.trying && !this.enter(phase.trying)) return false;
    this.waiting?.leave();
    this.waiting = null;
    this.#cancelUpstream();
    stream.sink = this;
    this.#upstream = stream;
    this.#session = session;
    if (session.version !== "") this.version = session.version;
    this.messages.moveTo(stream);
    return true;
  }

  /** The pool's name for the endpoint of the upstream attempt. undefined: no attempt is upstream. */
  get endpoint(): string | undefined {
    return this.#upstream === null ? undefined : this.#session?.name;
  }

  /**
   * Abandons the attempt, so that the owner can send the call elsewhere. Returns false if no attempt is upstream, if
   * the caller has something of its response, or if what was sent is not kept.
   */
  abandon(): boolean {
    if (!this.messages.isKept || !this.enter(phase.between)) return false;
    this.#cancelUpstream();
    return true;
  }

  // === From the caller ===

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    if (stream.oversized) {
      stream.consumed(end - start);
      this.answer(tooLongAnswer(stream.connection.limits.messageBytesMax, this.plan?.revision));
      return;
    }
    this.observer?.data(this, stream === this.inbound, bytes, start, end);
    if (stream !== this.inbound) {
      this.responseBytes += end - start;
      stream.consumed(this.inbound.sendData(bytes, start, end, false));
      if (endStream && !this.settled) this.answer(noTrailersAnswer(this.plan?.revision));
      return;
    }
    this.requestBytes += end - start;
    const messages = this.messages;
    if (endStream) {
      messages.ended = true;
      this.observer?.requestEnded(this);
    }
    if (this.settled) stream.consumed(end - start);
    else if (this.#upstream !== null) {
      messages.pass(this.#upstream, bytes, start, end);
      this.retry?.passed(bytes, start, end);
    } else if (!messages.hold(bytes, start, end)) this.answer(noRoomAnswer(this.plan?.revision));
    else this.waiting?.requestGrew?.(end - start, endStream);
  }

  onTrailers(stream: Stream, fields: FieldBlock): void {
    // gRPC gives no meaning to a request's trailers: they end it.
    if (stream === this.inbound) this.onData(stream, noBytes, 0, 0, true);
    else this.#finish(fields);
  }

  // === From the upstream ===

  onResponse(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    if (endStream && fields.find(fieldName.grpcStatus) >= 0) {
      const isToPeer = this.owner.fromPeer && this.plan?.isOutside !== true;
      if (isToPeer && fields.find(meshField.unprocessed) >= 0 && this.#goesElsewhere()) return;
      if (this.#triesAgain(grpcStatusOf(fields), "answered", fields)) return;
      this.messages.forget();
      this.#finish(fields);
      return;
    }
    this.messages.forget();
    this.retry?.settle();
    if (this.respondedMs < 0) this.respondedMs = this.owner.nowMs();
    const { check } = stream.connection.headers;
    const bad = badResponseAnswer(check.status, endStream, stream.framed, this.plan?.revision);
    if (bad !== undefined) {
      this.answer(bad);
      return;
    }
    dropReservedFields(fields, false);
    const changes = this.plan?.response;
    const added = changes?.added ?? null;
    changes?.drop(fields);
    const excess = excessFor(this.inbound.connection.peer, null, fields, added, null);
    if (isAnswered(this, this.owner, "response", excess) || !this.enter(phase.committed)) return;
    this.observer?.responded(this, fields);
    this.inbound.sendFields(null, fields, added, false);
  }

  onOversized(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    this.messages.forget();
    const excess = excessHere(this.direction, stream.connection.limits.headerListBytesMax);
    if (endStream && fields.find(fieldName.grpcStatus) >= 0) this.#finish(fields, excess);
    else isAnswered(this, this.owner, "response", excess);
  }

  onTaken(stream: Stream, bytes: number): void {
    if (stream === this.inbound) {
      (this.#upstream ?? this.waiting?.reply)?.consumed(bytes);
      if (this.settled) this.#endIfSent();
    } else if (stream === this.#upstream) this.messages.taken(bytes);
  }

  onReset(stream: Stream, code: number, _byPeer: boolean, unprocessed: boolean): void {
    if (stream === this.inbound) {
      this.#cancelUpstream(this.phase === phase.trying && this.isNearlyLate ? "silent" : "cancelled", stream);
      this.#end();
      return;
    }
    if (stream !== this.#upstream) return;
    const { dead, control } = stream.connection;
    const answer = lostAnswer(code, unprocessed, dead, this.plan?.revision, this.isLateThere);
    if (!unprocessed && this.#triesAgain(answer.code, dead ? "lost" : "reset", null)) return;
    this.#leaveAttempt(unprocessed ? "refused" : dead ? "lost" : "reset");
    this.#session?.released();
    if (!unprocessed || !this.messages.isKept || !this.enter(phase.between)) this.answer(answer);
    else if (this.retry?.takesOver() !== true) this.owner.sendAgain(this, control.draining);
  }

  /** Returns true if the call goes to another endpoint: the upstream's application saw nothing of it (gRFC A6). */
  #goesElsewhere(): boolean {
    if (!this.messages.isKept || !mayEnter(this.phase, phase.between)) return false;
    if (!this.owner.mayGoElsewhere(this, this.#session?.name ?? "")) return false;
    this.enter(phase.between);
    this.#leaveUpstream("refused");
    if (this.retry?.takesOver() !== true) this.owner.carry(this);
    return true;
  }

  /** Returns true if policy tries the call again after a try that failed with `code`. That try is over then. */
  #triesAgain(code: number, outcome: AttemptOutcome, fields: FieldBlock | null): boolean {
    const { retry, messages } = this;
    if (retry === null || !mayEnter(this.phase, phase.between)) return false;
    if (!messages.isKept) return retry.notKept(code);
    const at = fields?.find(fieldName.grpcRetryPushback) ?? -1;
    const waitMs = retry.afterMs(code, at >= 0 ? fields?.valueText(at) : undefined);
    if (waitMs < 0 || !this.enter(phase.between)) return false;
    this.code = code;
    if (outcome === "silent") this.#cancelUpstream(outcome);
    else this.#leaveUpstream(outcome);
    retry.wait(waitMs);
    return true;
  }

  tryTimedOut(): void {
    if (this.phase !== phase.trying || this.#triesAgain(status.DEADLINE_EXCEEDED, "silent", null)) return;
    this.answer(deadlineAnswer(this.plan?.revision));
  }

  /** Ends the call with the upstream's trailers. `excess`: why some trailers are missing. */
  #finish(fields: FieldBlock, excess = ""): void {
    if (!this.enter(phase.passed)) return;
    this.retry?.settle();
    const code = passTrailers(this.owner, this, this.inbound, fields, excess);
    this.code = code < 0 ? status.UNKNOWN : code;
    this.#leaveUpstream();
    this.#endIfSent();
  }

  /** Cancels the upstream stream. A server that answered early does not want the rest of the request. */
  #leaveUpstream(outcome: AttemptOutcome = "answered"): void {
    const upstream = this.#leaveAttempt(outcome);
    if (upstream === null) return;
    if (upstream.sending !== sendState.ended && !upstream.closed) upstream.reset(errorCode.noError);
    this.#session?.released();
  }

  #cancelUpstream(outcome: "cancelled" | "silent" = "cancelled", caller: Stream | null = null): void {
    const upstream = this.#leaveAttempt(outcome);
    if (upstream !== null) this.#session?.cancel(upstream, this.isFromClient ? caller : null);
  }

  /** Detaches the attempt and returns its stream, whose events no longer reach the call, or null. */
  #leaveAttempt(outcome: AttemptOutcome): Stream | null {
    const upstream = this.#upstream;
    if (upstream === null) return null;
    this.#upstream = null;
    this.retry?.stop();
    const name = this.#session?.name ?? "";
    this.observer?.attemptEnded(this, outcome, name);
    this.owner.attemptEnded(this, name, outcome, this.owner.nowMs() - upstream.openedAtMs);
    return upstream;
  }

  // === From the proxy ===

  /** Ends the call with an own answer and cancels what is upstream; a message that is too long is its caller's cancel. */
  answer(answer: Answer): void {
    // The upstream's answer is complete but the caller does not take it, and now it is too late or refused.
    if (this.phase === phase.passed) this.#cut();
    const isSilent = this.phase === phase.trying && answer.reason === "deadline";
    if (!this.enter(phase.answered)) return;
    this.retry?.settle();
    this.code = answer.code;
    this.reason = answer.reason;
    this.waiting?.leave();
    this.waiting = null;
    this.#cancelUpstream(isSilent ? "silent" : "cancelled", this.inbound.oversized ? this.inbound : null);
    sendAnswer(this.inbound, answer);
    if (this.#endIfSent()) return;
    this.owner.watch(this, this.owner.nowMs() + graceMsOf(answer));
  }

  /** Called when the deadline has passed, or the time within which the caller must take the end. */
  onDue(): void {
    if (!this.settled) this.answer(deadlineAnswer(this.plan?.revision));
    else if (this.phase !== phase.over) this.#cut();
  }

  #cut(): void {
    this.inbound.reset(errorCode.cancel);
    this.#cancelUpstream();
    this.#end();
  }

  #endIfSent(): boolean {
    if (this.inbound.sending !== sendState.ended && !this.inbound.closed) return false;
    this.#end();
    return true;
  }

  #end(): void {
    if (!this.enter(phase.over)) return;
    this.retry?.settle();
    this.waiting?.leave();
    this.waiting = null;
    this.messages.forget();
    if (this.wheelSlot >= 0) this.owner.unwatch(this);
    this.tookMs = this.owner.nowMs() - this.startedMs;
    this.observer?.ended(this);
    this.owner.ended(this);
    this.inbound.connection.budget.give(this.kept.bytes);
    this.kept.release();
    this.kept = KeptFields.none;
  }
}
