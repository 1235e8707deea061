/** The copy of one call that goes to another version of the service. Its answers are thrown away. */
import { status } from "@grpc/grpc-js";
import type { Endpoint } from "../../../core/model.js";
import type { CompiledMirror } from "../../../core/policy/compiled-route.js";
import { headerNames } from "../../../core/wire/headers.js";
import type { FieldBlock } from "../../http2/field-block.js";
import type { MemoryBudget } from "../../http2/memory-budget.js";
import { PreparedField } from "../../http2/prepared-field.js";
import { errorCode } from "../../http2/protocol.js";
import { type Stream, type StreamSink, sendState } from "../../http2/stream.js";
import type { Call } from "../forward/call.js";
import type { CallFacts } from "../forward/call-facts.js";
import { CallObserver } from "../forward/call-observer.js";
import type { ForwardPlan } from "../forward/call-owner.js";
import type { DeadlineWheel, Timed } from "../forward/deadline-wheel.js";
import { excessFor } from "../forward/header-limits.js";
import { KeptFields } from "../forward/kept-fields.js";
import { noBytes } from "../forward/request-messages.js";
import type { UpstreamSession } from "../forward/upstream-session.js";
import { renderGrpcTimeout } from "../grpc-timeout.js";
import type { ServiceTraffic } from "../service-traffic.js";
import { StreamWaiter } from "../stream-queue.js";
import type { UpstreamPool } from "../upstream-pool.js";
import type { UpstreamTarget } from "../upstream-target.js";
import type { MirrorOutcome } from "./mirror-outcome.js";
import { WaitingBytes } from "./waiting-bytes.js";

/** The most copies of one proxy to one service that are open at once. */
export const mirrorsOpenMax = 100;
/** The most bytes of a copy that wait for its connection or its window. */
export const mirrorBytesMax = 256 * 1024;
/** How long a copy may go on after its call has ended, in milliseconds. The deadline may end it earlier. */
const graceMs = 60_000;

/** Tells the application, and proxies on the way, that a call is a copy. */
export const mirrorField = new PreparedField(headerNames.mirror, "1");

export interface MirrorDeps {
  /** The connections that only copies use, so that no real call waits for a copy. */
  readonly pool: UpstreamPool;
  readonly deadlines: DeadlineWheel;
  readonly budget: MemoryBudget;
  nowMs(): number;
  /** Chooses an instance of the mirror's target. undefined: there is none. */
  choose(service: string, mirror: CompiledMirror): Endpoint | undefined;
  targetOf(service: string, endpoint: Endpoint): UpstreamTarget;
  mirrored(service: string, outcome: MirrorOutcome): void;
}

/**
 * Sends its call's request to another version too, while the request arrives. Begins with the call's first attempt and
 * does not repeat for later ones. Never holds the call up: a copy that finds no room is dropped.
 */
export class MirroredCall extends CallObserver implements StreamSink, Timed {
  readonly #deps: MirrorDeps;
  readonly #call: Call;
  readonly #mirror: CompiledMirror;
  readonly #traffic: ServiceTraffic;
  readonly #messages: WaitingBytes;
  #fields = KeptFields.none;
  #waiter: StreamWaiter | null = null;
  #stream: Stream | null = null;
  #session: UpstreamSession | null = null;
  #hasBegun = false;
  #isOver = false;
  #requestEnded = false;
  /** The deadline by the proxy's clock, in milliseconds. -1: there is none. */
  #dueAtMs = -1;
  dueMs = 0;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelBefore: Timed | null = null;

  constructor(deps: MirrorDeps, call: Call, traffic: ServiceTraffic, mirror: CompiledMirror) {
    super();
    this.#deps = deps;
    this.#call = call;
    this.#mirror = mirror;
    this.#traffic = traffic;
    this.#messages = new WaitingBytes(deps.budget, mirrorBytesMax);
  }

  // === Of the call ===

  override attemptStarted(call: CallFacts, endpoint: string): void {
    super.attemptStarted(call, endpoint);
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#begin();
  }

  override data(call: CallFacts, fromCaller: boolean, bytes: Uint8Array, start: number, end: number): void {
    super.data(call, fromCaller, bytes, start, end);
    if (!fromCaller || !this.#hasBegun || this.#isOver) return;
    const stream = this.#stream;
    if (stream === null) {
      if (!this.#messages.add(bytes, start, end)) this.#drop("slow");
    } else if (stream.waitingBytes + end - start > mirrorBytesMax) this.#drop("slow");
    else if (this.#deps.budget.isTight) this.#drop("memory");
    else stream.sendData(bytes, start, end, false);
  }

  override requestEnded(call: CallFacts): void {
    super.requestEnded(call);
    this.#requestEnded = true;
    this.#stream?.sendData(noBytes, 0, 0, true);
  }

  override ended(call: CallFacts): void {
    super.ended(call);
    if (!this.#hasBegun || this.#isOver) return;
    const untilMs = this.#deps.nowMs() + graceMs;
    if (!this.#requestEnded || call.code === status.CANCELLED) this.#drop("cut");
    else if (this.#dueAtMs < 0 || untilMs < this.#dueAtMs) this.#deps.deadlines.add(this, untilMs);
  }

  // === The copy ===

  #begin(): void {
    const { choose, targetOf, pool, deadlines } = this.#deps;
    const { service, dueAtMs, plan } = this.#call;
    if (plan === null) return; // an attempt always has one
    const endpoint = choose(service, this.#mirror);
    const refused = endpoint === undefined ? "no-instance" : this.#whyNot();
    if (endpoint === undefined || refused !== undefined) {
      this.#isOver = true;
      this.#deps.mirrored(service, refused ?? "no-instance");
      return;
    }
    this.#traffic.mirrorsOpen++;
    this.#keepFields(plan);
    this.#requestEnded = this.#call.messages.ended;
    this.#dueAtMs = dueAtMs;
    if (dueAtMs >= 0) deadlines.add(this, dueAtMs);
    const waiter = new StreamWaiter(
      this.#call.caller,
      (session) => this.#open(session, plan),
      (failure) => {
        this.#waiter = null;
        if (failure !== undefined) this.#drop("unreachable");
      },
    );
    this.#waiter = waiter;
    pool.acquire(targetOf(service, endpoint), waiter);
  }

  /** Takes what the call has sent so far. Returns why that cannot be copied, or undefined if it can. */
  #whyNot(): MirrorOutcome | undefined {
    if (this.#traffic.mirrorsOpen >= mirrorsOpenMax) return "full";
    if (this.#deps.budget.isTight) return "memory";
    const kept = this.#call.messages.copy();
    return this.#messages.add(kept, 0, kept.length) ? undefined : "slow";
  }

  #keepFields(plan: ForwardPlan): void {
    const fields = this.#call.restore();
    plan.request?.drop(fields);
    this.#fields = KeptFields.of(fields);
    this.#deps.budget.take(this.#fields.bytes);
  }

  #releaseKept(): Buffer {
    this.#deps.budget.give(this.#fields.bytes);
    this.#fields.release();
    this.#fields = KeptFields.none;
    return this.#messages.take();
  }

  /** Opens the copy on a session. Returns false if the session has no room after all. */
  #open(session: UpstreamSession, { first, last }: ForwardPlan): boolean {
    if (this.#isOver) return true;
    const nowMs = this.#deps.nowMs();
    const fields = this.#fields.restore();
    if (this.#dueAtMs >= 0) fields.add("grpc-timeout", renderGrpcTimeout(this.#dueAtMs - nowMs));
    const marked = [...last, mirrorField];
    const excess = excessFor(session.connection.peer, first, fields, marked, this.#call);
    const stream = excess === "" ? session.connection.open(this, nowMs) : null;
    if (excess !== "") this.#drop("oversized");
    if (stream === null) return excess !== "";
    this.#stream = stream;
    this.#session = session;
    stream.sendFields(first, fields, marked, this.#requestEnded && this.#messages.isEmpty);
    const bytes = this.#releaseKept();
    if (bytes.length > 0) stream.sendData(bytes, 0, bytes.length, this.#requestEnded);
    return true;
  }

  /** Called when the deadline has passed, or the time that the copy has after its call. */
  onDue(): void {
    this.#drop("late");
  }

  #drop(outcome: MirrorOutcome): void {
    if (this.#isOver) return;
    const [stream, session] = [this.#stream, this.#session];
    this.#end(outcome);
    if (stream !== null) session?.cancel(stream);
  }

  #end(outcome: MirrorOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiter?.leave();
    this.#waiter = null;
    this.#stream = null;
    this.#session = null;
    this.#deps.deadlines.remove(this);
    this.#releaseKept();
    this.#traffic.mirrorsOpen--;
    this.#deps.mirrored(this.#call.service, outcome);
  }

  // === From the other version ===

  onResponse(stream: Stream, _fields: FieldBlock, endStream: boolean): void {
    if (endStream) this.#answered(stream);
  }

  onData(stream: Stream, _bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    stream.consumed(end - start);
    if (endStream) this.#answered(stream);
  }

  onTrailers(stream: Stream): void {
    this.#answered(stream);
  }

  /** Ends the copy: a server that answered early does not want the rest of the request. */
  #answered(stream: Stream): void {
    const session = this.#session;
    this.#end("answered");
    if (stream.sending !== sendState.ended && !stream.closed) stream.reset(errorCode.noError);
    session?.released();
  }

  onOversized(): void {
    this.#drop("answered");
  }

  onReset(stream: Stream): void {
    if (stream !== this.#stream) return;
    const session = this.#session;
    this.#end("reset");
    session?.released();
  }

  onTaken(): void {}
}
