import { isAshlarError, messageOf } from "../../core/errors.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import type { CompiledRouteRule } from "../../core/policy/compile.js";
import { chooseVersion } from "../../core/route/choose-version.js";
import { pickEndpoint } from "../../core/route/pick-endpoint.js";
import { parseHostPort } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import type { EndpointView } from "../ports.js";
import { dialPeer } from "./dial.js";
import type { UpstreamSession } from "./forward/upstream-session.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import { type Reach, reach } from "./target-connections.js";
import type { TlsState } from "./tls-state.js";
import type { UpstreamPool } from "./upstream-pool.js";
import type { UpstreamTarget } from "./upstream-target.js";

export interface EndpointChoiceDeps {
  readonly tls: TlsState;
  readonly endpoints: EndpointView;
  readonly pool: UpstreamPool;
  readonly metrics: ProxyMetrics;
  /** Uniform in [0, 1). */
  readonly draw: () => number;
  readonly log: Logger;
}

const nothing: ReadonlySet<string> = new Set();

/** Chooses the endpoint of a service that gets a call, and how it is reached. */
export class EndpointChoice {
  readonly #deps: EndpointChoiceDeps;
  readonly #mesh: string;
  /** An endpoint is of one service; a statement that changes it is another object. */
  readonly #targets = new WeakMap<Endpoint, UpstreamTarget>();
  readonly #loadOf = (endpoint: Endpoint): number => this.#deps.pool.loadOf(this.#keyOf(endpoint));

  constructor(deps: EndpointChoiceDeps, mesh: string) {
    this.#deps = deps;
    this.#mesh = mesh;
  }

  /**
   * A session with room at the endpoint that was drawn, or else at one that is connected, while the one that was drawn is
   * connected for calls to come; undefined: take the longer way. `versionDraw`: for the split.
   */
  find(service: string, rule: CompiledRouteRule | undefined, versionDraw: number): UpstreamSession | undefined {
    const { endpoints, pool, draw } = this.#deps;
    const isSplit = rule !== undefined && rule.split.length > 0;
    const all = isSplit ? this.#fitting(service, rule, nothing, versionDraw) : endpoints.endpoints(service);
    const drawn = all.length > 1 ? pickEndpoint(all, this.#loadOf, draw()) : all[0];
    if (drawn === undefined) return undefined;
    const key = this.#keyOf(drawn);
    const session = pool.find(key);
    if (session !== undefined || all.length < 2) return session;
    if (pool.reachOf(key) === reach.afterDial) pool.warm(this.targetOf(service, drawn));
    const best = this.#best(isSplit ? all : this.#fitting(service, rule, nothing, versionDraw));
    return best === undefined ? undefined : pool.find(this.#keyOf(best));
  }

  /** Chooses among endpoints that were not tried, preferring those where a call gets a stream soonest. */
  choose(
    service: string,
    rule: CompiledRouteRule | undefined,
    tried: ReadonlySet<string>,
    versionDraw: number,
  ): Endpoint | undefined {
    return this.#best(this.#fitting(service, rule, tried, versionDraw));
  }

  /** Returns endpoints of the version that was drawn, if there is a split. */
  #fitting(
    service: string,
    rule: CompiledRouteRule | undefined,
    tried: ReadonlySet<string>,
    versionDraw: number,
  ): readonly Endpoint[] {
    const usable = this.#usable(service, tried);
    if (rule === undefined || rule.split.length === 0) return usable;
    const has = (version: string): boolean => usable.some((one) => one.version === version);
    const choice = chooseVersion(rule.split, versionDraw, has);
    if (choice.kind === "none") return [];
    return choice.kind === "any" ? usable : usable.filter(({ version }) => version === choice.version);
  }

  /** The less loaded of two of those that are nearest. */
  #best(endpoints: readonly Endpoint[]): Endpoint | undefined {
    let nearest: Reach = reach.backedOff;
    let best: Endpoint[] = [];
    for (const endpoint of endpoints) {
      const its = this.#deps.pool.reachOf(this.#keyOf(endpoint));
      if (its > nearest) continue;
      if (its < nearest) best = [];
      nearest = its;
      best.push(endpoint);
    }
    return pickEndpoint(best, this.#loadOf, this.#deps.draw());
  }

  /** The versions that a call can be sent to now. */
  availableVersions(service: string): ReadonlySet<string> {
    return new Set(this.#usable(service, nothing).map(({ version }) => version));
  }

  #usable(service: string, tried: ReadonlySet<string>): readonly Endpoint[] {
    const { pool, endpoints } = this.#deps;
    const untried = endpoints.endpoints(service).filter(({ proxyId }) => !tried.has(proxyId));
    const rested = untried.filter((endpoint) => pool.reachOf(this.#keyOf(endpoint)) < reach.backedOff);
    return rested.length > 0 ? rested : untried; // the pool itself refuses those that are backed off
  }

  targetOf(service: string, endpoint: Endpoint): UpstreamTarget {
    const known = this.#targets.get(endpoint);
    if (known !== undefined) return known;
    const target = { key: keyOf(service, endpoint), dial: () => this.#dial(service, endpoint) };
    this.#targets.set(endpoint, target);
    return target;
  }

  #keyOf(endpoint: Endpoint): string {
    return this.targetOf(endpoint.service, endpoint).key;
  }

  async #dial(service: string, { address }: Endpoint) {
    const { tls, metrics, log } = this.#deps;
    const hostPort = parseHostPort(address);
    if (hostPort === undefined) throw new Error(`${address} is not HOST:PORT`);
    const expected = buildSpiffeId(this.#mesh, "service", service);
    try {
      return await dialPeer({
        address: hostPort,
        expected,
        context: tls.context(),
        verify: (socket) => tls.verify(socket),
      });
    } catch (error) {
      const isWrong = isAshlarError(error, "invalid_identity");
      if (isWrong) metrics.handshakeFailed("outbound", "identity");
      log[isWrong ? "warn" : "info"]("an endpoint was not reached", { service, address, error: messageOf(error) });
      throw error;
    }
  }
}

/** Returns the name of an endpoint's connections in the pool, whose peer was verified to be this service. */
export function keyOf(service: string, endpoint: Pick<Endpoint, "address">): string {
  return `${service} ${endpoint.address}`;
}

const versionsNamedMax = 5;

/** Returns the reason for the caller. It names the versions if the route asks for some. */
export function renderNoEndpoint(service: string, rule: Pick<CompiledRouteRule, "split"> | undefined): string {
  const versions = (rule?.split ?? []).filter(({ weight }) => weight > 0).map(({ version }) => version);
  if (versions.length === 0) return `${service} has no healthy endpoint`;
  const more = versions.length > versionsNamedMax ? " and more" : "";
  const named = `version${versions.length === 1 ? "" : "s"} ${versions.slice(0, versionsNamedMax).join(", ")}${more}`;
  return `${service} has no healthy endpoint of ${named}, which its route asks for`;
}
