import type { Socket } from "node:net";
import { pickLeastLoaded } from "../../core/balance/pick.js";
import type { Spread } from "../../core/balance/spread.js";
import { BoundedMap } from "../../core/bounded-map.js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import { workloadId } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import type { CompiledRouteRule } from "../../core/policy/compile.js";
import type { CompiledMirror } from "../../core/policy/compiled-route.js";
import { isOfTarget } from "../../core/route/choose-target.js";
import { PreparedSplit } from "../../core/route/prepared-split.js";
import { parseHostPort } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import type { AfterTime } from "../../runtime/lost-time.js";
import type { EngineLoop } from "../http2-sockets/engine-loop.js";
import type { EndpointView, OutsideView } from "../ports.js";
import { dialPeer } from "./dial.js";
import { type UpstreamSession, upstreamSessionDefaults } from "./forward/upstream-session.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import type { ServiceTraffic, Traffic } from "./service-traffic.js";
import { type Reach, reach } from "./target-connections.js";
import type { TlsState } from "./tls-state.js";
import type { UpstreamPool } from "./upstream-pool.js";
import type { UpstreamTarget } from "./upstream-target.js";

export interface EndpointChoiceDeps {
  readonly tls: TlsState;
  readonly endpoints: EndpointView;
  /** The destinations outside the mesh. Left out: no call leaves the mesh. */
  readonly outside?: OutsideView | undefined;
  readonly pool: UpstreamPool;
  readonly traffic: Traffic;
  readonly engine: { readonly loop: Pick<EngineLoop, "time" | "after"> };
  readonly metrics: ProxyMetrics;
  /** Returns random numbers, uniform in [0, 1). */
  readonly draw: () => number;
  readonly log: Logger;
}

const nothing: ReadonlySet<string> = new Set();

/** A call that an endpoint refused to take. */
interface UntakenCall extends RoutedCall {
  readonly tried: ReadonlySet<string> | undefined;
  noteTried(proxyId: string): void;
}

/** The properties of a call that decide where it is sent. */
export interface RoutedCall {
  readonly service: string;
  readonly rule: CompiledRouteRule | undefined;
  /** A number that is uniform in [0, 1) and draws the version in a split. */
  readonly versionDraw: number;
  /** The value by which the call sticks to a version. undefined: the call does not stick. */
  readonly stickyKey: string | undefined;
  /** The key for ringHash. undefined: the call has none. */
  readonly balanceKey: string | undefined;
  readonly traffic: ServiceTraffic | null;
}

const endpointsKnownMax = 20_000;
const outsideSession = { ...upstreamSessionDefaults, isOutside: true };

/** Chooses the endpoint of a service for a call, and how the endpoint is reached. */
export class EndpointChoice {
  readonly #deps: EndpointChoiceDeps;
  readonly #mesh: string;
  /**
   * The targets by endpoint object. Each object belongs to one service, and a changed statement creates a new object.
   */
  readonly #targets = new WeakMap<Endpoint, UpstreamTarget>();
  /** The splits of rules, prepared for the endpoints that were usable last. */
  readonly #splits = new WeakMap<CompiledRouteRule, PreparedSplit<Endpoint>>();
  /** The endpoints that were left when some of a service's were backed off. */
  readonly #rested = new WeakMap<ServiceTraffic, readonly Endpoint[]>();
  readonly #byKey = new BoundedMap<string, Endpoint>(endpointsKnownMax);
  readonly #isRested = (endpoint: Endpoint): boolean =>
    this.#deps.pool.reachOf(this.#keyOf(endpoint)) < reach.backedOff;
  readonly #loadOf = (endpoint: Endpoint): number => this.#deps.pool.loadOf(this.#keyOf(endpoint));

  constructor(deps: EndpointChoiceDeps, mesh: string) {
    this.#deps = deps;
    this.#mesh = mesh;
  }

  /**
   * Returns a session with room at the drawn endpoint. If that has none, returns one at a connected endpoint, and the
   * drawn one is dialled for later calls. Returns undefined if the caller must wait for a session.
   */
  find(call: RoutedCall): UpstreamSession | undefined {
    const { endpoints, pool } = this.#deps;
    const { service, rule, balanceKey } = call;
    const traffic = this.#trafficOf(call);
    const isSplit = rule !== undefined && rule.split.length > 0;
    const all = isSplit ? this.#fitting(call, nothing) : traffic.eligible(endpoints.endpoints(service));
    const drawn = all.length > 1 ? this.#pick(traffic.spread, all, balanceKey) : all[0];
    if (drawn === undefined) return undefined;
    const key = this.#keyOf(drawn);
    const session = pool.find(key);
    if (session !== undefined || all.length < 2 || balanceKey !== undefined) return session;
    if (pool.reachOf(key) === reach.afterDial) pool.warm(this.targetOf(service, drawn));
    const best = this.#best(call, isSplit ? all : this.#fitting(call, nothing));
    return best === undefined ? undefined : pool.find(this.#keyOf(best));
  }

  /**
   * Chooses among the fitting endpoints that are not in `tried`, preferring those where the call gets a stream soonest.
   */
  choose(call: RoutedCall, tried: ReadonlySet<string>): Endpoint | undefined {
    return this.#best(call, this.#fitting(call, tried));
  }

  /**
   * Notes that the call was sent to `endpoint`, the pool's name for it. Returns whether an untried endpoint is left.
   */
  hasOther(call: UntakenCall, endpoint: string): boolean {
    const instance = this.endpointOf(endpoint);
    if (instance === undefined) return false;
    call.noteTried(instance.proxyId);
    return this.choose(call, call.tried ?? nothing) !== undefined;
  }

  /** Returns the endpoints of the target that the call gets, if there is a split. */
  #fitting(call: RoutedCall, tried: ReadonlySet<string>): readonly Endpoint[] {
    const usable = this.#usable(this.#trafficOf(call), tried);
    return this.#fittingBy(call.rule, call, usable, tried.size === 0);
  }

  /** Reads whose replica has no endpoint go by the rule of the primary. */
  #fittingBy(
    rule: CompiledRouteRule | undefined,
    call: RoutedCall,
    usable: readonly Endpoint[],
    isLasting: boolean,
  ): readonly Endpoint[] {
    if (rule === undefined || rule.split.length === 0) return usable;
    let split = this.#splits.get(rule);
    if (split?.among !== usable) {
      split = new PreparedSplit(rule, call.service, usable);
      if (isLasting) this.#splits.set(rule, split);
    }
    const fitting = split.choose(call.versionDraw, call.stickyKey);
    if (fitting.length > 0 || rule.reads === undefined) return fitting;
    return this.#fittingBy(rule.reads.primary, call, usable, isLasting);
  }

  #trafficOf({ traffic, service }: RoutedCall): ServiceTraffic {
    return traffic ?? this.#deps.traffic.of(service);
  }

  #pick(spread: Spread<Endpoint>, endpoints: readonly Endpoint[], key: string | undefined): Endpoint | undefined {
    const { draw, engine } = this.#deps;
    return spread.pick(endpoints, draw(), key, this.#loadOf, engine.loop.time());
  }

  /** Returns one of the nearest endpoints. A call with a key waits for the endpoint that the key belongs to. */
  #best(call: RoutedCall, endpoints: readonly Endpoint[]): Endpoint | undefined {
    const { spread } = this.#trafficOf(call);
    if (call.balanceKey !== undefined) return this.#pick(spread, endpoints, call.balanceKey);
    let nearest: Reach = reach.backedOff;
    let best: Endpoint[] = [];
    for (const endpoint of endpoints) {
      const its = this.#deps.pool.reachOf(this.#keyOf(endpoint));
      if (its > nearest) continue;
      if (its < nearest) best = [];
      nearest = its;
      best.push(endpoint);
    }
    return this.#pick(spread, best, undefined);
  }

  /** Picks an instance of `target` for a copy of a call: of two random ones, the one with fewer open copies. */
  chooseCopied(service: string, target: CompiledMirror, copies: UpstreamPool): Endpoint | undefined {
    const { endpoints, traffic, draw } = this.#deps;
    const there = traffic
      .of(service)
      .eligible(endpoints.endpoints(service))
      .filter((endpoint) => isOfTarget(target, endpoint));
    return pickLeastLoaded(there, (endpoint) => copies.loadOf(this.#keyOf(endpoint)), undefined, draw());
  }

  /** Returns the endpoints that a call can be sent to now. */
  available(service: string): readonly Endpoint[] {
    return this.#usable(this.#deps.traffic.of(service), nothing);
  }

  /** Returns the endpoint that has this name in the pool, or undefined if the endpoint is gone. */
  endpointOf(key: string): Endpoint | undefined {
    return this.#byKey.get(key);
  }

  #usable(traffic: ServiceTraffic, tried: ReadonlySet<string>): readonly Endpoint[] {
    const all = this.#deps.endpoints.endpoints(traffic.service);
    const eligible = untriedOf(traffic.eligible(all), tried);
    const untried = eligible.length > 0 ? eligible : untriedOf(all, tried); // an endpoint that seems stuck is better than none
    if (!this.#deps.pool.mayRest) return untried;
    if (untried.every(this.#isRested)) return untried;
    const rested = untried.filter(this.#isRested);
    return rested.length > 0 ? this.#sameAsLast(traffic, rested) : untried; // the pool refuses calls to endpoints that are backed off
  }

  /** Returns the array that was returned last if it has the same endpoints, so that what was prepared for it is used again. */
  #sameAsLast(traffic: ServiceTraffic, rested: readonly Endpoint[]): readonly Endpoint[] {
    const last = this.#rested.get(traffic);
    if (last?.length === rested.length && last.every((endpoint, index) => endpoint === rested[index])) return last;
    this.#rested.set(traffic, rested);
    return rested;
  }

  targetOf(service: string, endpoint: Endpoint): UpstreamTarget {
    const known = this.#targets.get(endpoint);
    if (known !== undefined) return known;
    const isOutside = this.#deps.outside?.isOutside(endpoint) === true;
    const target = {
      key: keyOf(service, endpoint),
      version: endpoint.version,
      dial: () => this.#dial(service, endpoint),
      whyNotDial: () => this.#whyNotDial(service),
      ...(isOutside ? { session: outsideSession } : {}),
    };
    this.#targets.set(endpoint, target);
    this.#byKey.set(target.key, endpoint);
    return target;
  }

  #whyNotDial(service: string): string | undefined {
    const { pool, traffic } = this.#deps;
    return traffic.of(service).whyNotDial(() => pool.connectionsTo(`${service} `));
  }

  #keyOf(endpoint: Endpoint): string {
    return this.targetOf(endpoint.service, endpoint).key;
  }

  async #dial(service: string, endpoint: Endpoint) {
    const { metrics, log, traffic, outside } = this.#deps;
    const { address } = endpoint;
    try {
      const socket = await (outside?.dial(endpoint, this.#after) ?? this.#dialPeer(service, endpoint));
      traffic.of(service).noteReached(endpoint);
      return socket;
    } catch (error) {
      const isWrong = isAshlarError(error, "invalid_identity");
      if (isWrong) metrics.handshakeFailed("outbound", "identity");
      traffic.of(service).noteUnreached(endpoint, messageOf(error));
      log[isWrong ? "warn" : "info"]("an endpoint was not reached", { service, address, error: messageOf(error) });
      throw error;
    }
  }

  readonly #after: AfterTime = (ms, late) => this.#deps.engine.loop.after(ms, late);

  #dialPeer(service: string, endpoint: Endpoint): Promise<Socket> {
    const { tls, outside } = this.#deps;
    const address = parseHostPort(endpoint.address);
    if (address === undefined) throw new Error(`${endpoint.address} is not HOST:PORT`);
    const expected = workloadId(this.#mesh, outside?.gatewayOf(endpoint) ?? service);
    return dialPeer({
      address,
      expected,
      context: tls.context(),
      verify: (peer) => tls.verify(peer),
      after: this.#after,
    });
  }
}

/** Returns the endpoints that were not tried: for most calls the same array. */
function untriedOf(endpoints: readonly Endpoint[], tried: ReadonlySet<string>): readonly Endpoint[] {
  return tried.size === 0 ? endpoints : endpoints.filter(({ proxyId }) => !tried.has(proxyId));
}

/** Returns the name of an endpoint's connections in the pool, whose peer was verified to be this service. */
export function keyOf(service: string, endpoint: Pick<Endpoint, "address">): string {
  return `${service} ${endpoint.address}`;
}

const targetsNamedMax = 5;

/** Returns the text for the caller. It names the versions if the route asks for some. */
export function renderNoEndpoint(
  service: string,
  rule: Pick<CompiledRouteRule, "split" | "targets"> | undefined,
): string {
  const targets = rule?.targets.filter((_, index) => (rule.split[index]?.weight ?? 0) > 0) ?? [];
  if (targets.length === 0) return `${service} has no healthy endpoint`;
  const more = targets.length > targetsNamedMax ? " and more" : "";
  const named = `version${targets.length === 1 ? "" : "s"} ${targets.slice(0, targetsNamedMax).join(", ")}${more}`;
  return `${service} has no healthy endpoint of ${named}, which its route asks for`;
}
