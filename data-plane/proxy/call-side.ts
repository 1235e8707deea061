/** What inbound and outbound calls have in common, from their request to their end. */
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
import type { CallWatch } from "./call-watch.js";
import type { AttemptOutcome } from "./forward/attempt-outcome.js";
import { Call } from "./forward/call.js";
import type { CallOwner, ForwardPlan, Leaving } from "./forward/call-owner.js";
import type { Timed } from "./forward/deadline-wheel.js";
import { type Door, Listener, type ListenerTls, type Peer } from "./forward/listener.js";
import type { ListenerLimits } from "./forward/listener-limits.js";
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
  /** Called with each call when it begins; it may attach observers to the call. Must not throw. */
  readonly observe?: ((call: Call) => void) | undefined;
  /** Watches a part of the calls, for traces, the access log and taps. Left out: no call is watched. */
  readonly watch?: CallWatch | undefined;
  /**
   * Called for each call that is about to be forwarded. Returns the gate to wait for, or undefined. Left out: no gate.
   */
  readonly gate?: ((call: Call) => CallGate | undefined) | undefined;
}

/** Holds back a judged call. `leave` is called if the call ends before the gate opens. */
export interface CallGate extends Leaving {
  /**
   * Resolves within a bounded time: with undefined when the call may continue, or with the answer that it gets instead.
   */
  readonly opened: Promise<Answer | undefined>;
}

const te = new PreparedField("te", "trailers");
/** The wait of a call that other calls share, so nothing has to happen when one of the calls ends. */
const shared: Leaving = { leave() {} };

/**
 * One listener and the owner of its calls. `Inbound` and `Outbound` decide who is called, what is checked first, and
 * where the call goes. The rest of a call's life is here and in `Call`.
 */
export abstract class CallSide implements CallOwner<Call> {
  abstract readonly direction: Direction;
  abstract readonly fromPeer: boolean;
  readonly isForClients: boolean = false;
  abstract readonly labels: ReadonlyMap<string, string>;
  /** The version of the instance that inbound calls go to; "" for outbound calls. */
  protected abstract readonly version: string;
  readonly oversized: SeldomLog;
  protected readonly listener: Listener;
  /** The head of the request that was read last. One object serves all requests. */
  protected readonly head = new RequestHead();
  readonly #side: CallSideDeps;
  protected readonly methods = new MethodNames();
  /** The message for callers whose calls are still open when the grace of a drain ends. */
  protected readonly stopping: string = "the proxy is stopping";
  readonly #traces: TraceSource;

  constructor(deps: CallSideDeps, limits: ListenerLimits, tls?: ListenerTls, door?: Door) {
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
          // Those of an address that has too many are told by the listener, and seldom.
          if (tls !== undefined && reason !== "address") log.info("a connection was refused", { reason, message });
        },
        onConnection: (change) => metrics.connection(this.direction, change),
        engine,
        log,
      },
      limits,
      tls,
      door,
    );
  }

  /** Listens. Returns the address with its real port. Fails with `unavailable` if it is taken. */
  listen<Address extends SocketAddress>(address: Address): Promise<Address> {
    return this.listener.listen(address);
  }

  /** Takes a connection that another process accepted. */
  take(socket: Socket): void {
    this.listener.take(socket);
  }

  /** See `Listener.takeProven`. */
  takeProven(socket: Socket): void {
    this.listener.takeProven(socket);
  }

  /** Closes connections whose certificate has expired. */
  admitAgain(): void {
    this.listener.admitAgain();
  }

  /** Accepts no new connection and sends GOAWAY to clients. Resolves when the last call has ended. */
  drain(): Promise<void> {
    return this.listener.drain();
  }

  /** Asks clients to connect elsewhere or again. Open calls go on. */
  shed(): void {
    this.listener.shed();
  }

  /** Closes everything at once. Calls that are still open are answered with the reason. */
  close(): void {
    const answer = unavailableAnswer("draining", this.stopping, this.revision);
    this.listener.close((sink) => {
      if (sink instanceof Call) sink.answer(answer);
    });
  }

  /** The number of the revision in force, or undefined if there is none. */
  protected get revision(): number | undefined {
    return this.#side.policy.current?.revision;
  }

  // === What a direction decides ===

  /** Handles a request whose `head` was read. `begin` turns it into a call. */
  protected abstract onRequest(stream: Stream, fields: FieldBlock, endStream: boolean, peer: Peer | undefined): void;

  abstract carry(call: Call): void;

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
    if (this.mayRetry(call, isLeaving)) this.carry(call);
    else call.answer(unavailableAnswer("overload", "the upstream refused the call", call.plan?.revision));
  }

  mayGoElsewhere(_call: Call, _endpoint: string): boolean {
    return false;
  }

  /**
   * Whether to send a call again that the upstream surely did not process. `isLeaving`: its connection takes no more
   * calls.
   */
  protected mayRetry(call: Call, isLeaving: boolean): boolean {
    const budget = call.traffic?.budget ?? this.#side.engine.retries;
    return mayRetry(call.attempts, isLeaving, budget, this.nowMs());
  }

  attemptEnded(_call: Call, _endpoint: string, _outcome: AttemptOutcome, _tookMs: number): void {}

  ended(call: Call): void {
    this.#side.metrics.callEnded(call);
    this.#side.watch?.ended(call);
  }

  // === A call ===

  /** Returns the call of a request, or undefined if the request was answered already. */
  protected begin(
    stream: Stream,
    fields: FieldBlock,
    endStream: boolean,
    service: string,
    caller: SpiffeId,
  ): Call | undefined {
    const { head } = this;
    const method = head.method(fields, this.methods);
    const call = new Call(this, stream, service, method, caller, endStream, this.nowMs());
    call.version = this.version;
    stream.sink = call;
    this.#side.metrics.callStarted(this.direction);
    this.#side.observe?.(call);
    const isTraced = this.#side.watch?.begun(call, fields, head.traceparent) === true;
    const refused = this.#refusalBefore(call, head.timeoutMs);
    if (refused !== undefined) {
      call.answer(refused);
      return undefined;
    }
    if (head.traceparent < 0 && !isTraced) fields.add("traceparent", this.#traces.next());
    return call;
  }

  /** Returns the answer to a call that cannot be served now. Otherwise starts its deadline and returns undefined. */
  #refusalBefore(call: Call, timeoutMs: number): Answer | undefined {
    if (timeoutMs === 0) return deadlineAnswer(this.revision);
    const { overload, retries } = this.#side.engine;
    const cause = overload.refuses(call.startedMs);
    if (cause !== undefined) return overloadAnswer(cause, overload.limits.pushbackMs, this.revision);
    retries.earn(call.startedMs);
    if (timeoutMs > 0) call.setTimeout(timeoutMs);
    return undefined;
  }

  /** Returns the plan with the field that announces that trailers are accepted, if the caller did not send it. */
  protected withTe(plan: ForwardPlan, hasTe: boolean): ForwardPlan {
    return hasTe ? plan : { ...plan, last: [...plan.last, te] };
  }

  /** Returns true if a judged call has to wait for a gate. The call continues when the gate opens. */
  protected waitsForGate(call: Call, gate = this.#side.gate?.(call)): boolean {
    if (gate === undefined) return false;
    this.#hold(call, gate);
    return true;
  }

  /**
   * Waits for a gate. A function of its own, because JavaScript allocates a closure's variables where a function
   * begins.
   */
  #hold(call: Call, gate: CallGate): void {
    void this.after(call, gate.opened, () => this.carry(call), gate);
  }

  /** Carries a call after `delayMs`, unless the call ends before. */
  protected carryIn(call: Call, delayMs: number): void {
    let end: () => void = () => {};
    const passed = new Promise<undefined>((resolve) => {
      const timer = setTimeout(resolve, delayMs, undefined);
      end = () => clearTimeout(timer);
    });
    void this.after(call, passed, () => this.carry(call), { leave: () => end() });
  }

  /**
   * Continues a call when `first`, which must be bounded, resolves, or answers it with the answer that `first` gives.
   * If the call ends before, it does not continue, and `gate.leave` is called.
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

  /** Ends only the call in which a fault of our own occurred. */
  protected failed(call: Call, error: unknown): void {
    this.#side.log.error("a call failed", { error: messageOf(error), method: call.method });
    call.answer(internalAnswer(this.revision));
  }
}
