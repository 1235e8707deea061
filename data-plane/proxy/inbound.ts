/** Calls from other proxies: who calls is proved by TLS, what they may is judged here, and the application gets the rest. */
import type { Socket } from "node:net";
import { messageOf } from "../../core/errors.js";
import type { Label } from "../../core/model.js";
import { headerNames } from "../../core/wire/headers.js";
import type { Clock } from "../../runtime/clock.js";
import type { HostPort } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import type { FieldBlock } from "../http2/field-block.js";
import { PreparedField } from "../http2/prepared-field.js";
import { errorCode } from "../http2/protocol.js";
import type { Stream } from "../http2/stream.js";
import type { AppRegistration, AppView, CallPolicy, EvaluatedPolicy, TrustView } from "../ports.js";
import { type Answer, answerFor, internalAnswer, unavailableAnswer } from "./answer.js";
import { labelMap, plainAddress, SourceLabels } from "./call-inputs.js";
import type { CallRecorder } from "./call-recorder.js";
import { dialApplication, isApplicationGone } from "./dial.js";
import { Call } from "./forward/call.js";
import type { CallOwner, ForwardPlan } from "./forward/call-owner.js";
import { inboundLimits, Listener, type ListenerLimits, type Peer } from "./forward/listener.js";
import { MethodNames } from "./forward/method-names.js";
import type { ProxyEngine } from "./forward/proxy-engine.js";
import { SeldomLog } from "./forward/seldom-log.js";
import type { UpstreamSession } from "./forward/upstream-session.js";
import { InboundJudge } from "./inbound-judge.js";
import { type OpenCall, OpenCalls } from "./open-calls.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import { refusalBefore } from "./refusal-before.js";
import { endsWithDot, RequestHead } from "./request-head.js";
import { mayRetry } from "./retry-budget.js";
import type { ShadowTally } from "./shadow-tally.js";
import { StreamWaiter } from "./stream-queue.js";
import type { TlsState } from "./tls-state.js";
import { TraceSource } from "./traceparent.js";
import type { UpstreamPool } from "./upstream-pool.js";

export interface InboundDeps {
  readonly engine: ProxyEngine;
  readonly tls: TlsState;
  readonly trust: Pick<TrustView, "issuers">;
  readonly policy: CallPolicy;
  readonly app: AppView;
  /** Connections to the application. */
  readonly pool: UpstreamPool;
  readonly metrics: ProxyMetrics;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly tally?: ShadowTally | undefined;
}

export interface InboundOptions {
  readonly service: string;
  /** This proxy's own labels, for conditions. */
  readonly labels?: readonly Label[];
  readonly limits?: ListenerLimits;
}

const callersKept = 1000;
const scheme = new PreparedField(":scheme", "http");
const schemeAlone = [scheme];
const te = new PreparedField("te", "trailers");

export class Inbound implements CallOwner {
  readonly direction = "inbound";
  readonly fromPeer = false;
  readonly open = new OpenCalls();
  readonly labels: ReadonlyMap<string, string>;
  readonly #deps: InboundDeps;
  readonly #service: string;
  readonly #listener: Listener;
  readonly #judge: InboundJudge;
  readonly #stopFollowing: () => void;
  readonly #head = new RequestHead();
  readonly oversized: SeldomLog;
  readonly #methods = new MethodNames();
  readonly #sourceLabels = new SourceLabels();
  readonly #traces: TraceSource;
  /** Plans for requests that need nothing unusual, by caller; of one revision. */
  readonly #plans = new Map<string, ForwardPlan>();
  #plansOf: number | undefined;
  #turnMs = -1;
  #dateMs = 0;
  #app: AppRegistration | undefined;
  #appKey = "";

  constructor(deps: InboundDeps, options: InboundOptions) {
    this.#deps = deps;
    this.oversized = new SeldomLog(deps.log);
    this.#service = options.service;
    this.labels = labelMap(options.labels ?? []);
    this.#traces = new TraceSource(deps.random);
    this.#judge = new InboundJudge(deps, options.service);
    this.#listener = new Listener(
      {
        onRequest: (stream, fields, endStream, peer) => this.#onRequest(stream, fields, endStream, peer),
        revision: () => deps.policy.current?.revision ?? 0,
        onHandshakeFailure: (reason, message) => {
          deps.metrics.handshakeFailed("inbound", reason);
          deps.log.info("a connection was refused", { reason, message });
        },
        onConnection: (change) => deps.metrics.connection("inbound", change),
        engine: deps.engine,
        log: deps.log,
      },
      options.limits ?? inboundLimits,
      {
        context: deps.tls.context(),
        admit: (socket) => ({ ...deps.tls.verify(socket), sourceAddress: plainAddress(socket.remoteAddress) }),
      },
    );
    this.#stopFollowing = deps.policy.onSwitch((policy) => this.#judgeOpen(policy));
  }

  /** Gives the address with its real port. */
  async listen(address: HostPort): Promise<HostPort> {
    const bound = await this.#listener.listen(address);
    return "path" in bound ? address : bound;
  }

  /** Identity or trust changed: new handshakes use it, open connections are judged by it. */
  refreshTls(): void {
    this.#listener.setSecureContext(this.#deps.tls.context());
    this.#listener.admitAgain();
  }

  /** Trust changed: tokens of open calls are judged by it. */
  refreshTokens(): void {
    if (this.#deps.policy.current !== undefined) this.#judgeOpen(this.#deps.policy.current);
  }

  /** Closes connections whose certificate has expired meanwhile. */
  admitAgain(): void {
    this.#listener.admitAgain();
  }

  /** Takes a connection that another process accepted. */
  take(socket: Socket): void {
    this.#listener.take(socket);
  }

  /** Asks callers to take their connections elsewhere, or to come again. */
  shed(): void {
    this.#listener.shed();
  }

  drain(): Promise<void> {
    return this.#listener.drain();
  }

  /** Calls that outlived the grace are told why they end. */
  close(): void {
    this.#stopFollowing();
    this.open.answerAll(unavailableAnswer("draining", "the proxy is stopping", this.#deps.policy.current?.revision));
    this.#listener.close();
  }

  // === CallOwner ===

  nowMs(): number {
    return this.#deps.engine.loop.time();
  }

  watch(call: Call, dueMs: number): void {
    this.#deps.engine.deadlines.add(call, dueMs);
  }

  unwatch(call: Call): void {
    this.#deps.engine.deadlines.remove(call);
  }

  sendAgain(call: Call, isLeaving: boolean): void {
    if (mayRetry(call.attempts, isLeaving, this.#deps.engine)) this.#carry(call);
    else call.answer(unavailableAnswer("overload", "the upstream refused the call", call.plan?.revision));
  }

  ended(call: Call): void {
    this.open.remove(call);
    this.#deps.metrics.callEnded(call);
  }

  // === A call ===

  #onRequest(stream: Stream, fields: FieldBlock, endStream: boolean, peer: Peer | undefined): void {
    if (peer === undefined) throw new Error("an inbound call without a peer"); // the listener gives none without
    const head = this.#head;
    if (!head.read(fields)) {
      stream.reset(errorCode.protocolError);
      return;
    }
    const method = head.method(fields, this.#methods);
    const { spiffeId, sourceAddress } = peer;
    const call = new Call(this, stream, this.#service, method, spiffeId, sourceAddress, endStream, this.nowMs());
    stream.sink = call;
    call.nowMs = this.#calendarMs(call.startedMs);
    if (head.labels >= 0) call.sourceLabels = this.#sourceLabels.of(fields.valueText(head.labels));
    this.#deps.metrics.callStarted("inbound");
    const refused = refusalBefore(call, this.#deps.engine, head.timeoutMs, this.#deps.policy.current?.revision);
    if (refused !== undefined) {
      call.answer(refused);
      return;
    }
    try {
      const plan = this.#planFor(call.caller, fields);
      call.keep(fields);
      if (head.epoch > this.#deps.policy.seenEpoch) {
        void this.#hear(call, head.epoch, peer, plan);
      } else this.#serve(call, peer, plan, fields);
    } catch (error) {
      this.#failed(call, error);
    }
  }

  /** The calendar's time, read once a turn of the event loop. */
  #calendarMs(turnMs: number): number {
    if (turnMs !== this.#turnMs) {
      this.#turnMs = turnMs;
      this.#dateMs = this.#deps.clock.nowMs();
    }
    return this.#dateMs;
  }

  /** News travels with the calls: a peer that has seen a higher epoch makes us look before we decide. */
  async #hear(call: Call, epoch: number, peer: Peer, plan: ForwardPlan): Promise<void> {
    try {
      await this.#deps.policy.hearOfEpoch(epoch, peer.spiffeId);
      if (!call.settled) this.#serve(call, peer, plan, null);
    } catch (error) {
      this.#failed(call, error);
    }
  }

  /** What is added to the request's own fields; some are moved into it. */
  #planFor(caller: string, fields: FieldBlock): ForwardPlan {
    const head = this.#head;
    if (head.traceparent < 0) fields.add("traceparent", this.#traces.next());
    const revision = this.#deps.policy.current?.revision;
    if (revision !== this.#plansOf || this.#plans.size >= callersKept) {
      this.#plans.clear();
      this.#plansOf = revision;
    }
    let plan = this.#plans.get(caller);
    if (plan === undefined) {
      plan = { first: schemeAlone, last: [new PreparedField(headerNames.caller, caller)], revision: revision ?? 0 };
      this.#plans.set(caller, plan);
    }
    if (head.te < 0) plan = { ...plan, last: [...plan.last, te] };
    if (head.authority >= 0 && !endsWithDot(fields, head.authority)) return plan;
    const authority = new PreparedField(":authority", head.authorityText(fields));
    if (head.authority >= 0) fields.drop(head.authority);
    return { ...plan, first: [scheme, authority] };
  }

  /** `fields`: null for those that the call keeps. */
  #serve(call: Call, peer: Peer, plan: ForwardPlan, fields: FieldBlock | null): void {
    const { policy, app, pool } = this.#deps;
    const refusal = this.#judge.judge(call, peer);
    if (refusal !== undefined) {
      call.answer(refusal);
      return;
    }
    const revision = policy.current?.revision ?? 0;
    call.plan = plan.revision === revision ? plan : { ...plan, revision };
    const claims = this.#judge.claimsField(call);
    if (claims !== undefined) call.plan = { ...call.plan, last: [...call.plan.last, claims] };
    this.open.add(call);
    const registered = app.current;
    if (registered !== undefined) {
      if (registered !== this.#app) this.#noteApp(registered);
      const session = pool.find(this.#appKey);
      if (session?.hasRoom && call.send(session, fields)) return;
    }
    this.#carry(call);
  }

  #noteApp(registered: AppRegistration): void {
    this.#app = registered;
    this.#appKey = keyOf(registered);
  }

  /** Sends a call whose fields are kept, once the application has a stream for it. */
  #carry(call: Call): void {
    const { app, pool } = this.#deps;
    const registered = app.current;
    if (call.isLate || registered === undefined) {
      const message = `no application of ${this.#service} is registered here`;
      if (call.isLate) call.onDue();
      else call.answer(unavailableAnswer("no-application", message, call.plan?.revision));
      return;
    }
    const open = (session: UpstreamSession): boolean => call.send(session, null);
    const waiter = new StreamWaiter(call.caller, open, (failure) => this.#carried(call, registered, failure));
    call.waiting = waiter;
    pool.acquire({ key: keyOf(registered), dial: () => this.#dial(registered) }, waiter);
  }

  #carried(call: Call, registered: AppRegistration, failure: unknown): void {
    call.waiting = null;
    if (failure === undefined || call.settled) return;
    const { current } = this.#deps.app;
    const isReplaced = current !== undefined && keyOf(current) !== keyOf(registered);
    if (isReplaced) this.#carry(call);
    else call.answer(answerFor(failure, "the application is not reached", call.plan?.revision));
  }

  async #dial(registered: AppRegistration) {
    try {
      return await dialApplication(registered.target);
    } catch (error) {
      if (isApplicationGone(error)) this.#deps.app.reportRefused(registered);
      throw error;
    }
  }

  #failed(call: Call, error: unknown): void {
    this.#deps.log.error("a call failed", { error: messageOf(error), method: call.method });
    call.answer(internalAnswer(this.#deps.policy.current?.revision));
  }

  /** One call's fault keeps no other one open. */
  #judgeAgain(call: OpenCall, policy: EvaluatedPolicy): Answer | undefined {
    try {
      return this.#judge.judgeOpen(call, policy);
    } catch (error) {
      this.#deps.log.error("a call cannot be judged again", { error: messageOf(error), method: call.method });
      return internalAnswer(policy.revision);
    }
  }

  #judgeOpen(policy: EvaluatedPolicy): void {
    const startedMs = this.#deps.clock.monotonicMs();
    const { size } = this.open;
    const ended = this.open.judgeAgain((call) => this.#judgeAgain(call, policy));
    if (size === 0) return;
    const tookMs = this.#deps.clock.monotonicMs() - startedMs;
    this.#deps.metrics.judgedAgain(size, ended, tookMs);
    if (ended > 0)
      this.#deps.log.info("open calls were ended by a revision, or by trust", {
        ended,
        revision: policy.revision,
        tookMs,
      });
  }
}

function keyOf({ instance, target }: AppRegistration): string {
  return "path" in target ? `${instance} unix:${target.path}` : `${instance} ${target.host}:${target.port}`;
}
