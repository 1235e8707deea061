/** Calls of the own application: which service is meant, which version, which endpoint, and is it really that service. */
import type { Socket } from "node:net";
import { messageOf } from "../../core/errors.js";
import { buildSpiffeId, type SpiffeId } from "../../core/identity.js";
import type { Label } from "../../core/model.js";
import { headerNames, renderLabels } from "../../core/wire/headers.js";
import type { Clock } from "../../runtime/clock.js";
import type { SocketAddress } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import type { FieldBlock } from "../http2/field-block.js";
import { fieldName } from "../http2/field-names.js";
import { PreparedField } from "../http2/prepared-field.js";
import { errorCode } from "../http2/protocol.js";
import type { Stream } from "../http2/stream.js";
import type { CallPolicy, EndpointView, EvaluatedPolicy } from "../ports.js";
import { type Answer, answerFor, internalAnswer, unavailableAnswer } from "./answer.js";
import type { CallRecorder } from "./call-recorder.js";
import { type CalledService, CalledServices } from "./called-services.js";
import { EndpointChoice, renderNoEndpoint } from "./endpoint-choice.js";
import { EndpointRace, type EndpointRaceDeps } from "./endpoint-race.js";
import { Call } from "./forward/call.js";
import type { CallOwner, ForwardPlan } from "./forward/call-owner.js";
import { Listener, localLimits } from "./forward/listener.js";
import { MethodNames } from "./forward/method-names.js";
import type { ProxyEngine } from "./forward/proxy-engine.js";
import { SeldomLog } from "./forward/seldom-log.js";
import { renderGrpcTimeout } from "./grpc-timeout.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import { refusalBefore } from "./refusal-before.js";
import { joinHeader, RequestHead } from "./request-head.js";
import { mayRetry } from "./retry-budget.js";
import { refusalOfStale } from "./stale-route.js";
import type { TlsState } from "./tls-state.js";
import { TraceSource } from "./traceparent.js";
import type { UpstreamPool } from "./upstream-pool.js";

export interface OutboundDeps {
  readonly engine: ProxyEngine;
  readonly tls: TlsState;
  readonly policy: CallPolicy;
  readonly endpoints: EndpointView;
  /** Connections to peer proxies. */
  readonly pool: UpstreamPool;
  readonly metrics: ProxyMetrics;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly draw: () => number;
  readonly random: (bytes: number) => Buffer;
  readonly recorder: CallRecorder;
  readonly log: Logger;
}

export interface OutboundOptions {
  /** This proxy's own. */
  readonly labels?: readonly Label[];
  readonly mesh: string;
  /** Whatever arrives goes to this service; undefined: `:authority` says which. */
  readonly service: string | undefined;
}

const usedAgainAfterMs = 60_000;
const te = new PreparedField("te", "trailers");

/** One listener for the application's calls. */
export class Outbound implements CallOwner {
  readonly direction = "outbound";
  readonly fromPeer = true;
  readonly labels: ReadonlyMap<string, string> = new Map();
  /** What peers are told of this proxy's labels. */
  readonly #labels: readonly PreparedField[];
  readonly #deps: OutboundDeps;
  readonly #options: OutboundOptions;
  readonly #self: SpiffeId;
  readonly #listener: Listener;
  readonly #head = new RequestHead();
  readonly oversized: SeldomLog;
  readonly #methods = new MethodNames();
  readonly #traces: TraceSource;
  readonly #choice: EndpointChoice;
  readonly #race: EndpointRaceDeps;
  readonly #called: CalledServices;
  /** For requests that need nothing unusual: of one epoch, by service. */
  readonly #plans = new Map<CalledService, ForwardPlan>();
  #plansEpoch = -1;
  #plansRevision = -1;

  constructor(deps: OutboundDeps, options: OutboundOptions) {
    this.#deps = deps;
    this.oversized = new SeldomLog(deps.log);
    this.#options = options;
    this.#called = new CalledServices(options.mesh, options.service);
    this.#self = buildSpiffeId(options.mesh, "service", options.service ?? "application");
    const labels = renderLabels(options.labels ?? []);
    this.#labels = labels === "" ? [] : [new PreparedField(headerNames.labels, labels)];
    this.#traces = new TraceSource(deps.random);
    this.#choice = new EndpointChoice(deps, options.mesh);
    const { pool, engine } = deps;
    this.#race = { choice: this.#choice, pool, deadlines: engine.deadlines, nowMs: () => engine.loop.time() };
    this.#listener = new Listener(
      {
        onRequest: (stream, fields, endStream) => this.#onRequest(stream, fields, endStream),
        revision: () => deps.policy.current?.revision ?? 0,
        onHandshakeFailure: (reason) => deps.metrics.handshakeFailed("outbound", reason),
        onConnection: (change) => deps.metrics.connection("outbound", change),
        engine: deps.engine,
        log: deps.log,
      },
      localLimits,
    );
  }

  listen(address: SocketAddress): Promise<SocketAddress> {
    return this.#listener.listen(address);
  }

  /** Takes a connection that another process accepted. */
  take(socket: Socket): void {
    this.#listener.take(socket);
  }

  drain(): Promise<void> {
    return this.#listener.drain();
  }

  close(): void {
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
    this.#deps.metrics.callEnded(call);
  }

  // === A call ===

  #onRequest(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    const head = this.#head;
    if (!head.read(fields)) {
      stream.reset(errorCode.protocolError);
      return;
    }
    const authority = this.#options.service ?? head.authorityText(fields);
    const called = this.#called.by(authority);
    const method = head.method(fields, this.#methods);
    const call = new Call(this, stream, called?.name ?? "", method, this.#self, undefined, endStream, this.nowMs());
    stream.sink = call;
    this.#deps.metrics.callStarted("outbound");
    const refused = refusalBefore(call, this.#deps.engine, head.timeoutMs, this.#deps.policy.current?.revision);
    if (refused !== undefined) {
      call.answer(refused);
      return;
    }
    if (head.authority >= 0) fields.drop(head.authority);
    if (head.traceparent < 0) fields.add("traceparent", this.#traces.next());
    try {
      call.keep(fields);
      this.#serve(call, called, authority, fields);
    } catch (error) {
      this.#failed(call, error);
    }
  }

  #serve(call: Call, called: CalledService | undefined, authority: string, fields: FieldBlock): void {
    const { policy } = this.#deps;
    const { current } = policy;
    if (current === undefined) {
      call.answer(unavailableAnswer("no-revision", "this proxy has no revision to route by", undefined));
    } else if (called === undefined) {
      const message = `${authority} names no service of this mesh`;
      call.answer(unavailableAnswer("unknown-service", message, current.revision));
    } else if (called.ready && current.unit(called.name) !== undefined) {
      this.#noteUse(called);
      this.#route(call, called, current, fields);
    } else {
      const hasTe = this.#head.te >= 0;
      void this.#prepare(call, called, hasTe);
    }
  }

  /** Makes sure that the service's policy and endpoints are there, and routes by the fields that were kept. */
  async #prepare(call: Call, called: CalledService, hasTe: boolean): Promise<void> {
    try {
      const found = await this.#findPolicy(called);
      if ("code" in found) call.answer(found);
      else if (!call.settled) {
        const fields = call.restore();
        if (!this.#plan(call, called, found, fields, hasTe)) return;
        this.#record(call, found, fields, false);
        this.#carry(call);
      }
    } catch (error) {
      this.#failed(call, error);
    }
  }

  /** The policy that a call is routed by, with the service's unit held. */
  async #findPolicy(called: CalledService): Promise<Answer | EvaluatedPolicy> {
    const { policy, endpoints } = this.#deps;
    const { name } = called;
    const unknown = (revision: number | undefined): Answer =>
      unavailableAnswer("unknown-service", `this mesh has no service ${name}`, revision);
    try {
      if (policy.current?.unit(name) !== undefined) this.#noteUse(called);
      else if (!(await policy.useService(name))) return unknown(policy.current?.revision);
      await endpoints.ready(name);
      called.ready = true;
    } catch (error) {
      return unavailableAnswer("no-revision", `${name}: ${messageOf(error)}`, policy.current?.revision);
    }
    const { current } = policy; // it may have switched meanwhile
    return current === undefined || !current.has(name) ? unknown(current?.revision) : current;
  }

  /** Keeps the service in the prepare set, without a wait and not at every call. */
  #noteUse(called: CalledService): void {
    const nowMs = this.nowMs();
    if (nowMs - called.usedMs < usedAgainAfterMs) return;
    called.usedMs = nowMs;
    this.#deps.policy.useService(called.name).catch((error: unknown) => {
      this.#deps.log.debug("a service in use was not noted", { service: called.name, error: messageOf(error) });
    });
  }

  /** Sends the call in this very turn if a connection has room, else keeps it and sees to one. */
  #route(call: Call, called: CalledService, policy: EvaluatedPolicy, fields: FieldBlock): void {
    if (!this.#plan(call, called, policy, fields, this.#head.te >= 0)) return;
    const session = this.#choice.find(called.name, call.rule, call.versionDraw);
    this.#record(call, policy, fields, session !== undefined);
    if (session !== undefined && call.send(session, fields)) return;
    this.#carry(call);
  }

  /** Before anything is done to the call's fields for sending it. */
  #record(call: Call, policy: EvaluatedPolicy, fields: FieldBlock, hasSession: boolean): void {
    const { recorder } = this.#deps;
    const bits = recorder.draw();
    if (hasSession && !recorder.isWanted(bits)) return;
    const { service, method, versionDraw } = call;
    const unit = policy.unit(service);
    const header = (name: string): string | undefined => joinHeader(fields, name);
    const available = this.#choice.availableVersions(service);
    recorder.routed({ service, method, policy, unit, header, draw: versionDraw, available }, bits);
  }

  /** Decides what is sent along; false: the call is over already. */
  #plan(call: Call, called: CalledService, policy: EvaluatedPolicy, fields: FieldBlock, hasTe: boolean): boolean {
    const rule = policy.unit(called.name)?.findRoute(call.method, (name) => joinHeader(fields, name));
    call.rule = rule;
    if (rule !== undefined && rule.split.length > 0) call.versionDraw = this.#deps.draw();
    if (rule !== undefined && rule.timeoutMs > 0) this.#limit(call, rule.timeoutMs, fields);
    let plan = this.#planFor(called, policy);
    if (!hasTe) plan = { ...plan, last: [...plan.last, te] };
    call.plan = plan;
    const stale = refusalOfStale(rule, this.#deps.policy, policy.revision);
    if (stale !== undefined) call.answer(stale);
    return !call.settled;
  }

  /** A route's timeout that ends before the caller's is the one that is sent on. */
  #limit(call: Call, timeoutMs: number, fields: FieldBlock): void {
    if (call.dueAtMs >= 0 && call.dueAtMs <= call.startedMs + timeoutMs) return;
    call.setTimeout(timeoutMs);
    const field = fields.find(fieldName.grpcTimeout);
    if (field >= 0) fields.drop(field);
    fields.add("grpc-timeout", renderGrpcTimeout(call.dueAtMs - this.nowMs()));
  }

  #planFor(called: CalledService, { revision }: EvaluatedPolicy): ForwardPlan {
    const epoch = this.#deps.policy.seenEpoch;
    if (epoch !== this.#plansEpoch || revision !== this.#plansRevision) {
      this.#plans.clear();
      this.#plansEpoch = epoch;
      this.#plansRevision = revision;
    }
    let plan = this.#plans.get(called);
    if (plan === undefined) {
      const last = [new PreparedField(headerNames.epoch, String(epoch)), ...this.#labels];
      plan = { first: called.first, last, revision };
      this.#plans.set(called, plan);
    }
    return plan;
  }

  /** Sends a call whose fields are kept to the first endpoint that has a stream for it. */
  #carry(call: Call): void {
    if (call.isLate) call.onDue();
    else new EndpointRace(this.#race, call, (failure) => this.#notReached(call, failure)).start();
  }

  #notReached(call: Call, failure: unknown): void {
    const { service } = call;
    const revision = call.plan?.revision;
    if (failure !== undefined) call.answer(answerFor(failure, `no endpoint of ${service} is reached`, revision));
    else call.answer(unavailableAnswer("no-endpoint", renderNoEndpoint(service, call.rule), revision));
  }

  #failed(call: Call, error: unknown): void {
    this.#deps.log.error("a call failed", { error: messageOf(error), method: call.method });
    call.answer(internalAnswer(this.#deps.policy.current?.revision));
  }
}
