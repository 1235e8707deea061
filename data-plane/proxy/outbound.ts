/**
 * Takes the calls of this proxy's own application: decides which service, version and endpoint gets each call, and
 * proves the identity of the endpoint.
 */

import type { BreakerBound } from "../../core/balance/breaker.js";
import { outcome as callOutcome } from "../../core/balance/outliers.js";
import { messageOf } from "../../core/errors.js";
import type { SpiffeId } from "../../core/identity.js";
import type { Resilience } from "../../core/kinds/resilience/resilience.js";
import type { Label } from "../../core/model.js";
import type { FieldBlock } from "../http2/field-block.js";
import { fieldName } from "../http2/field-names.js";
import type { Stream } from "../http2/stream.js";
import type { EndpointView, EvaluatedPolicy, OutsideView } from "../ports.js";
import { type Answer, answerFor, unavailableAnswer } from "./answer.js";
import type { CallRecorder } from "./call-recorder.js";
import { CallRoutes } from "./call-routes.js";
import { CallSide, type CallSideDeps } from "./call-side.js";
import { type CalledService, CalledServices } from "./called-services.js";
import { EndpointChoice, renderNoEndpoint } from "./endpoint-choice.js";
import { EndpointRace, type EndpointRaceDeps } from "./endpoint-race.js";
import type { AttemptOutcome } from "./forward/attempt-outcome.js";
import type { Call } from "./forward/call.js";
import type { Door, ListenerTls, Peer } from "./forward/listener.js";
import { type ListenerLimits, localLimits } from "./forward/listener-limits.js";
import { renderGrpcTimeout } from "./grpc-timeout.js";
import { OutboundPlans } from "./outbound-plans.js";
import { OutsideCalls, type OutsideCallsDeps } from "./outside-calls.js";
import { joinHeader } from "./request-head.js";
import { RouteEffects } from "./route-effects.js";
import { outcomeOf, type ServiceTraffic, type Traffic } from "./service-traffic.js";
import { refusalOfStale } from "./stale-route.js";
import type { TlsState } from "./tls-state.js";
import type { UpstreamPool } from "./upstream-pool.js";

export interface OutboundDeps extends CallSideDeps {
  readonly tls: TlsState;
  readonly endpoints: EndpointView;
  /** Connections to peer proxies. */
  readonly pool: UpstreamPool;
  /** Connections to peer proxies that only copies of calls use. */
  readonly copies: UpstreamPool;
  readonly traffic: Traffic;
  /** Returns random numbers, uniform in [0, 1). */
  readonly draw: () => number;
  readonly recorder: CallRecorder;
  /** The destinations outside the mesh. Left out: no call leaves the mesh. */
  readonly outside?: OutsideView | undefined;
  /** Judges the calls that leave the mesh here. Left out: none may. */
  readonly judging?: OutsideCallsDeps;
}

export interface OutboundOptions {
  /** The caller of these calls: the proxy's own identity. */
  readonly self: SpiffeId;
  /** This proxy's own labels. */
  readonly labels?: readonly Label[];
  readonly mesh: string;
  /** The service that every call goes to; if undefined, `:authority` names the service. */
  readonly service: string | undefined;
}

const usedAgainAfterMs = 60_000;

/** One listener for the application's calls. */
export class Outbound extends CallSide {
  readonly direction = "outbound";
  readonly fromPeer = true;
  readonly labels: ReadonlyMap<string, string> = new Map();
  protected readonly version = "";
  readonly #deps: OutboundDeps;
  readonly #options: OutboundOptions;
  readonly #self: SpiffeId;
  readonly #choice: EndpointChoice;
  readonly #race: EndpointRaceDeps;
  readonly #called: CalledServices;
  readonly #effects: RouteEffects;
  readonly #plans: OutboundPlans;
  readonly #outside: OutsideCalls;
  readonly #routes: CallRoutes;

  constructor(
    deps: OutboundDeps,
    options: OutboundOptions,
    limits: ListenerLimits = localLimits,
    tls?: ListenerTls,
    door?: Door,
  ) {
    super(deps, limits, tls, door);
    this.#deps = deps;
    this.#options = options;
    this.#called = new CalledServices(options.mesh, options.service);
    this.#self = options.self;
    this.#routes = new CallRoutes(options.self, deps.draw);
    this.#plans = new OutboundPlans(options.labels ?? []);
    this.#choice = new EndpointChoice(deps, options.mesh);
    const { pool, engine, judging } = deps;
    this.#outside = new OutsideCalls(deps.outside, judging);
    this.#effects = new RouteEffects(deps, this.#choice, {
      carry: (call) => this.carry(call),
      attemptEnded: (...ended) => this.attemptEnded(...ended),
    });
    this.#race = { choice: this.#choice, pool, deadlines: engine.deadlines, nowMs: () => engine.loop.time() };
  }

  protected override onRequest(stream: Stream, fields: FieldBlock, endStream: boolean, _peer?: Peer): void {
    this.accept(stream, fields, endStream, this.#options.service ?? this.head.authorityText(fields));
  }

  /** Takes a call to the service that `authority` names. If `refuse` returns an answer, the call ends with it. */
  protected accept(
    stream: Stream,
    fields: FieldBlock,
    endStream: boolean,
    authority: string,
    refuse?: (call: Call) => Answer | undefined,
  ): void {
    const { head } = this;
    const called = this.#called.by(authority);
    const call = this.begin(stream, fields, endStream, called?.name ?? "", this.#self);
    if (call === undefined) return;
    const refused = refuse?.(call);
    if (refused !== undefined) return void call.answer(refused);
    if (head.authority >= 0) fields.drop(head.authority);
    try {
      call.keep(fields);
      this.#serve(call, called, authority, fields);
    } catch (error) {
      this.failed(call, error);
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
    } else if (called.ready && this.#outside.holds(current.unit(called.name))) {
      this.#noteUse(called);
      this.#route(call, called, current, fields);
    } else {
      this.#prepare(call, called);
    }
  }

  /** Waits until the service's policy and endpoints are there, then routes the call by its kept fields. */
  #prepare(call: Call, called: CalledService): void {
    const hasTe = this.head.te >= 0;
    void this.after(call, this.#findPolicy(called), () => {
      const { current } = this.#deps.policy; // it may have switched while we waited
      if (current === undefined || !current.has(called.name)) {
        call.answer(unknownService(called, current?.revision));
        return;
      }
      const fields = call.restore();
      if (!this.#plan(call, called, current, fields, hasTe)) return;
      this.#record(call, current, fields, false);
      if (!this.waitsForGate(call) && !this.#delays(call)) this.carry(call);
    });
  }

  /** Fetches the service's unit and endpoints. Resolves to the answer for the waiting calls if that fails. */
  async #findPolicy(called: CalledService): Promise<Answer | undefined> {
    const { policy, endpoints } = this.#deps;
    const { name } = called;
    try {
      if (policy.current?.unit(name) !== undefined) this.#noteUse(called);
      else if (!(await policy.useService(name))) return unknownService(called, this.revision);
      await endpoints.ready(name);
      called.ready = true;
      return undefined;
    } catch (error) {
      return unavailableAnswer("no-revision", `${name}: ${messageOf(error)}`, this.revision);
    }
  }

  /** Keeps the service in the prepare set; does not wait, and does nothing for most calls. */
  #noteUse(called: CalledService): void {
    const nowMs = this.nowMs();
    if (nowMs - called.usedMs < usedAgainAfterMs) return;
    called.usedMs = nowMs;
    this.#deps.policy.useService(called.name).catch((error: unknown) => {
      this.#deps.log.debug("a service in use was not noted", { service: called.name, error: messageOf(error) });
    });
  }

  /** Sends the call at once if a connection has room; otherwise keeps its fields and finds a connection. */
  #route(call: Call, called: CalledService, policy: EvaluatedPolicy, fields: FieldBlock): void {
    if (!this.#plan(call, called, policy, fields, this.head.te >= 0)) return;
    const session = this.#choice.find(call);
    this.#record(call, policy, fields, session !== undefined);
    if (this.waitsForGate(call) || this.#delays(call)) return;
    if (session !== undefined && call.send(session, fields)) return;
    this.carry(call);
  }

  /** Records the call's route. Must run before the call's fields are changed for sending. */
  #record(call: Call, policy: EvaluatedPolicy, fields: FieldBlock, hasSession: boolean): void {
    const { recorder } = this.#deps;
    const bits = recorder.draw();
    const isNoted = !hasSession || recorder.isWanted(bits);
    call.judged("routed", policy, isNoted ? this.#note(call, policy, fields, bits) : undefined);
  }

  /** Returns the id of the decision, or undefined if it is not recorded. */
  #note(call: Call, policy: EvaluatedPolicy, fields: FieldBlock, bits: number): string | undefined {
    const { service, method, versionDraw } = call;
    const unit = policy.unit(service);
    const header = (name: string): string | undefined => joinHeader(fields, name);
    const available = this.#choice.available(service);
    const asked = { service, method, policy, unit, header, draw: versionDraw, available };
    const routed = this.#deps.recorder.routed(asked, bits);
    if (routed?.awaited !== undefined) call.observe(routed.awaited);
    return routed?.id;
  }

  /** Decides which fields are sent in addition. Returns false if the call is already over. */
  #plan(call: Call, called: CalledService, policy: EvaluatedPolicy, fields: FieldBlock, hasTe: boolean): boolean {
    this.#routes.read(fields);
    const unit = policy.unit(called.name);
    const way = unit?.isOutside === true ? this.#outside.find(called.name) : undefined;
    const kept = unit?.isOutside === true ? this.#outside.refuse(call, way, policy.revision) : undefined;
    if (kept !== undefined) call.answer(kept);
    if (call.settled) return false;
    if (!this.#count(call, called, unit?.resilience)) return false;
    const rule = this.#routes.find(call, unit);
    if (rule !== undefined && rule.timeoutMs > 0) this.#limit(call, rule.timeoutMs, fields);
    const { revision } = policy;
    const plan =
      way?.isDirect === true
        ? this.#plans.outside(way, revision)
        : this.#plans.for(called, this.#deps.policy.seenEpoch, revision);
    call.plan = this.withTe(rule?.hasExtras === true ? this.#plans.ofRule(plan, rule, call.method) : plan, hasTe);
    const refused =
      refusalOfStale(rule, this.#deps.policy, policy.revision) ?? this.#effects.abort(rule, policy.revision);
    if (refused !== undefined) call.answer(refused);
    else if (rule?.hasExtras === true) this.#effects.attach(call, rule);
    return !call.settled;
  }

  /** Returns true if the route's fault delays the call. The call is held that long and then carried. */
  #delays(call: Call): boolean {
    const delay = call.rule?.fault?.delay;
    if (delay === undefined || this.#deps.draw() >= delay.share) return false;
    this.carryIn(call, delay.timeMs);
    return true;
  }

  /** Counts the call as open to its service. Returns false if there are too many and the call has been answered. */
  #count(call: Call, called: CalledService, policy: Resilience | undefined): boolean {
    called.traffic ??= this.#deps.traffic.of(called.name);
    const { traffic } = called;
    traffic.follow(policy);
    if (!this.#passes(call, traffic, traffic.breaker.begin())) return false;
    traffic.budget.earn(this.nowMs());
    call.traffic = traffic;
    const { keyedBy } = traffic.spread;
    if (keyedBy !== undefined) call.balanceKey = keyedBy === true ? this.#self : this.#routes.header(keyedBy);
    return true;
  }

  /** Returns false if the circuit breaker refused the call because of this bound; the call is answered then. */
  #passes(call: Call, traffic: ServiceTraffic, bound: BreakerBound | undefined): boolean {
    if (bound === undefined) return true;
    call.answer(unavailableAnswer("breaker", traffic.renderBreaker(bound), this.revision));
    return false;
  }

  override mayGoElsewhere(call: Call, endpoint: string): boolean {
    const { reads } = call.rule ?? {};
    if (reads === undefined) return this.#choice.hasOther(call, endpoint) && this.mayRetry(call, false);
    call.rule = reads.primary; // the replica has not applied what the read has to see, or takes no calls: it goes there once
    return this.#choice.hasOther(call, endpoint);
  }

  /** Reports at how many workers the network of an outside client has connections, if this is a gateway's listener. */
  spread(_address: string, _workers: number): void {}

  override close(): void {
    this.#outside.close();
    super.close();
  }

  override attemptEnded(call: Call, endpoint: string, outcome: AttemptOutcome, tookMs: number): void {
    const { traffic, retry } = call;
    const what = outcomeOf(outcome, call.code, call.isNearlyLate);
    if (traffic === null || what === undefined) return;
    if (what === callOutcome.success && traffic.spread.isQuiet && retry === null) return;
    const instance = this.#choice.endpointOf(endpoint);
    if (instance === undefined) return;
    // the next try goes to another one, where there is one
    if (retry !== null && !call.settled) call.noteTried(instance.proxyId);
    const answeredMs = call.respondedMs < 0 ? tookMs : tookMs - (this.nowMs() - call.respondedMs);
    traffic.note(instance, what, answeredMs);
  }

  override ended(call: Call): void {
    super.ended(call);
    call.traffic?.breaker.ended();
    this.#outside.ended(call);
  }

  /** Sends the route's timeout in place of the caller's if it ends earlier. */
  #limit(call: Call, timeoutMs: number, fields: FieldBlock): void {
    if (call.dueAtMs >= 0 && call.dueAtMs <= call.startedMs + timeoutMs) return;
    call.setTimeout(timeoutMs);
    const field = fields.find(fieldName.grpcTimeout);
    if (field >= 0) fields.drop(field);
    fields.add("grpc-timeout", renderGrpcTimeout(call.dueAtMs - this.nowMs()));
  }

  override carry(call: Call): void {
    const { traffic } = call;
    if (call.isLate) call.onDue();
    else if (traffic === null || this.#passes(call, traffic, traffic.breaker.wait()))
      new EndpointRace(this.#race, call, (failure) => this.#notReached(call, failure)).start();
  }

  #notReached(call: Call, failure: unknown): void {
    const { service, plan } = call;
    const revision = plan?.revision;
    if (failure !== undefined) call.answer(answerFor(failure, `no endpoint of ${service} is reached`, revision));
    else if (this.#deps.policy.current?.unit(service)?.isOutside === true)
      call.answer(this.#outside.none(service, revision));
    else
      call.answer(
        unavailableAnswer("no-endpoint", renderNoEndpoint(service, call.rule?.reads?.primary ?? call.rule), revision),
      );
  }
}

const unknownService = ({ name }: CalledService, revision: number | undefined): Answer =>
  unavailableAnswer("unknown-service", `this mesh has no service ${name}`, revision);
