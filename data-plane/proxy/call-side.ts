/** What calls of either direction have in common, from their request to their end. */
import type { Socket } from "node:net";
import { messageOf } from "../../core/errors.js";
import type { SpiffeId } from "../../core/identity.js";
import type { SocketAddress } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import type { FieldBlock } from "../http2/field-block.js";
import { PreparedField } from "../http2/prepared-field.js";
import { errorCode } from "../http2/protocol.js";
import type { Stream } from "../http2/stream.js";
import type { CallPolicy } from "../ports.js";
import { type Answer, deadlineAnswer, internalAnswer, overloadAnswer, unavailableAnswer } from "./answer.js";
import type { AttemptOutcome } from "./forward/attempt-outcome.js";
import { Call } from "./forward/call.js";
import type { CallOwner, ForwardPlan, Leaving } from "./forward/call-owner.js";
import type { Timed } from "./forward/deadline-wheel.js";
import { Listener, type ListenerLimits, type ListenerTls, type Peer } from "./forward/listener.js";
import { MethodNames } from "./forward/method-names.js";
import type { ProxyEngine } from "./forward/proxy-engine.js";
import { SeldomLog } from "./forward/seldom-log.js";
import type { Direction, ProxyMetrics } from "./proxy-metrics.js";
import { RequestHead } from "./request-head.js";
import { mayRetry } from "./retry-budget.js";
import { TraceSource } from "./traceparent.js";

export interface CallSideDeps {
  readonly engine: ProxyEngine;
  readonly policy: CallPolicy;
  readonly metrics: ProxyMetrics;
  readonly random: (bytes: number) => Buffer;
  readonly log: Logger;
  /** Called with each call as it begins: may attach observers to it. Must not throw. Left out: nobody does. */
  readonly observe?: ((call: Call) => void) | undefined;
  /** Asked about each call that is to be forwarded: what must happen first; undefined: nothing. Left out: never anything. */
  readonly gate?: ((call: Call) => CallGate | undefined) | undefined;
}

/** Holds back a call that was judged; is left when the call ends first. */
export interface CallGate extends Leaving {
  /** Resolves, within a bound, when the call may go on, or to the answer that it gets instead. */
  readonly opened: Promise<Answer | undefined>;
}

const te = new PreparedField("te", "trailers");
/** A wait that nobody has to be told of the end of: others share it. */
const shared: Leaving = { leave() {} };

/**
 * One listener, and the owner of the calls that come on it. `Inbound` and `Outbound` say who is called, what is asked
 * before, and where to: everything else about the life of a call is here and in `Call`.
 */
export abstract class CallSide implements CallOwner<Call> {
  abstract readonly direction: Direction;
  abstract readonly fromPeer: boolean;
  abstract readonly labels: ReadonlyMap<string, string>;
  readonly oversized: SeldomLog;
  protected readonly listener: Listener;
  /** Of the request that came last. */
  protected readonly head = new RequestHead();
  readonly #side: CallSideDeps;
  readonly #methods = new MethodNames();
  readonly #traces: TraceSource;

  constructor(deps: CallSideDeps, limits: ListenerLimits, tls?: ListenerTls) {
    this.oversized = new SeldomLog(deps.log);
    this.#side = deps;
    this.#traces = new TraceSource(deps.random);
    const { engine, log, metrics } = deps;
    this.listener = new Listener(
      {
        onRequest: (stream, fields, endStream, peer) => {
          if (this.head.read(fields)) this.onRequest(stream, fields, endStream, peer);
          else stream.reset(errorCode.protocolError);
        },
        revision: () => this.revision ?? 0,
        onHandshakeFailure: (reason, message) => {
          metrics.handshakeFailed(this.direction, reason);
          if (tls !== undefined) log.info("a connection was refused", { reason, message });
        },
        onConnection: (change) => metrics.connection(this.direction, change),
        engine,
        log,
      },
      limits,
      tls,
    );
  }

  /** Starts to listen; gives the address with its real port. Fails with `unavailable` when it is taken. */
  listen<Address extends SocketAddress>(address: Address): Promise<Address> {
    return this.listener.listen(address);
  }

  /** Takes a connection that another process accepted. */
  take(socket: Socket): void {
    this.listener.take(socket);
  }

  /** Takes no new connection and asks clients to go elsewhere; resolves when the last call has ended. */
  drain(): Promise<void> {
    return this.listener.drain();
  }

  /** Closes everything at once. */
  close(): void {
    this.listener.close();
  }

  /** The number of the revision in force; undefined: there is none. */
  protected get revision(): number | undefined {
    return this.#side.policy.current?.revision;
  }

  // === What a direction decides ===

  /** A request whose `head` was read. Makes it a call by `begin`. */
  protected abstract onRequest(stream: Stream, fields: FieldBlock, endStream: boolean, peer: Peer | undefined): void;

  /** Has a call whose fields are kept sent where it can be, as soon as there is a stream for it; or answers it. */
  protected abstract carry(call: Call): void;

  // === CallOwner ===

  nowMs(): number {
    return this.#side.engine.loop.time();
  }

  watch(timed: Timed, dueMs: number): void {
    this.#side.engine.deadlines.add(timed, dueMs);
  }

  unwatch(timed: Timed): void {
    this.#side.engine.deadlines.remove(timed);
  }

  sendAgain(call: Call, isLeaving: boolean): void {
    const budget = call.traffic?.budget ?? this.#side.engine.retries;
    if (mayRetry(call.attempts, isLeaving, budget, this.nowMs())) this.carry(call);
    else call.answer(unavailableAnswer("overload", "the upstream refused the call", call.plan?.revision));
  }

  attemptEnded(_call: Call, _endpoint: string, _outcome: AttemptOutcome, _tookMs: number): void {}

  ended(call: Call): void {
    this.#side.metrics.callEnded(call);
  }

  // === A call ===

  /** The call that a request is; undefined: it was answered, since nothing more is done for it now. */
  protected begin(
    stream: Stream,
    fields: FieldBlock,
    endStream: boolean,
    service: string,
    caller: SpiffeId,
  ): Call | undefined {
    const { head } = this;
    const method = head.method(fields, this.#methods);
    const call = new Call(this, stream, service, method, caller, endStream, this.nowMs());
    stream.sink = call;
    this.#side.metrics.callStarted(this.direction);
    this.#side.observe?.(call);
    const refused = this.#refusalBefore(call, head.timeoutMs);
    if (refused !== undefined) {
      call.answer(refused);
      return undefined;
    }
    if (head.traceparent < 0) fields.add("traceparent", this.#traces.next());
    return call;
  }

  /** The answer to a call for which nothing is done; starts the deadline of others. undefined: go on. */
  #refusalBefore(call: Call, timeoutMs: number): Answer | undefined {
    if (timeoutMs === 0) return deadlineAnswer(this.revision);
    const { overload, retries } = this.#side.engine;
    const cause = overload.refuses(call.startedMs);
    if (cause !== undefined) return overloadAnswer(cause, overload.limits.pushbackMs, this.revision);
    retries.earn(call.startedMs);
    if (timeoutMs > 0) call.setTimeout(timeoutMs);
    return undefined;
  }

  /** Says that trailers are taken, where the caller did not. */
  protected withTe(plan: ForwardPlan, hasTe: boolean): ForwardPlan {
    return hasTe ? plan : { ...plan, last: [...plan.last, te] };
  }

  /** Whether a call that was judged has to wait for a gate; it is carried once that opens. */
  protected waitsForGate(call: Call): boolean {
    const gate = this.#side.gate?.(call);
    if (gate === undefined) return false;
    void this.after(call, gate.opened, () => this.carry(call), gate);
    return true;
  }

  /**
   * Goes on with a call once `first` is through, which must be bounded; or answers it with what that gives, if it is one.
   * A call that ends before is not gone on with, and `gate` is told then.
   */
  protected async after(
    call: Call,
    first: Promise<Answer | undefined>,
    goOn: () => void,
    gate: Leaving = shared,
  ): Promise<void> {
    try {
      if (!call.hold(gate)) gate.leave();
      const answer = await first;
      if (answer !== undefined) call.answer(answer);
      else if (call.release()) goOn();
    } catch (error) {
      if (!call.settled) this.failed(call, error);
    }
  }

  /** A fault of our own costs its own call alone. */
  protected failed(call: Call, error: unknown): void {
    this.#side.log.error("a call failed", { error: messageOf(error), method: call.method });
    call.answer(internalAnswer(this.revision));
  }
}
