/** Keeps the instances of each service from endpoint messages, and judges them by their proxies' heartbeats. Pure. */
import { isLabel } from "../../core/identity.js";
import type { Endpoint, Revocation } from "../../core/model.js";
import type { FleetEntry } from "../fleet/fleet-state.js";
import { renderRevoked } from "../fleet/fleet-status.js";
import type { Problem } from "../fleet/problems.js";
import { hearCallers, isAvoided, reachProblems, renderTestimony } from "./reach.js";

export interface ServiceInstance {
  readonly proxyId: string;
  readonly instance: string;
  readonly version: string;
  /** "HOST:PORT". */
  readonly address: string;
  /**
   * True if its proxy is live, most callers can connect to it and have not ejected it, and its application can be
   * called.
   */
  readonly healthy: boolean;
  /** Why the instance is not healthy, or who cannot connect to it or has ejected it; "" if nothing is wrong. */
  readonly why: string;
}

/** An endpoint, and the certificate that its statement was signed with. */
export interface StatedEndpoint {
  readonly endpoint: Endpoint;
  /** The serial number of that certificate; undefined: the proxy's version does not sign. */
  readonly serial: string | undefined;
  /** When the endpoint ceases to count, in Unix milliseconds. */
  readonly endsMs: number;
}

/** The facts that an endpoint is judged by. */
export interface RegistryJudge {
  revocationOf(serial: string): Revocation | undefined;
  readonly nowMs: number;
}

export interface ServiceView {
  readonly name: string;
  /** Sorted by instance, then proxy id. */
  readonly endpoints: readonly ServiceInstance[];
  /** True if the active revision has the service. */
  readonly inPolicy: boolean;
}

const endpointsMax = 20_000;
/** The most problems about hung instances; more would hide other problems. */
const hungToldMax = 100;

export class RegistryState {
  readonly #endpoints = new Map<string, StatedEndpoint>();
  readonly #endpointsMax: number;

  constructor(max: number = endpointsMax) {
    this.#endpointsMax = max;
  }

  /**
   * Receives an endpoint whose statement was verified; of two statements the later one counts. At most 20 000 are kept.
   */
  hear(stated: StatedEndpoint): void {
    const { proxyId, timeMs } = stated.endpoint;
    const known = this.#endpoints.get(proxyId);
    if (known !== undefined && known.endpoint.timeMs > timeMs) return;
    if (known === undefined && this.#endpoints.size >= this.#endpointsMax) this.#dropTombstone();
    this.#endpoints.set(proxyId, stated);
  }

  /**
   * Returns every service that is in policy, has an endpoint or has a proxy, and every gateway that has a process, sorted
   * by name. `inPolicy` has gateways as `gateway/NAME`.
   */
  list(fleet: readonly FleetEntry[], inPolicy: ReadonlySet<string>, judge: RegistryJudge): readonly ServiceView[] {
    const known = new Map(fleet.map((entry) => [entry.heartbeat.proxyId, entry]));
    const names = new Set([...inPolicy].filter(isLabel));
    const standing = this.#standing(judge.nowMs);
    const heard = hearCallers(
      fleet,
      standing.map(({ endpoint }) => endpoint),
    );
    for (const { endpoint } of standing) names.add(endpoint.service);
    for (const { live, heartbeat } of fleet) if (live) names.add(heartbeat.service);
    const instances = new Map<string, ServiceInstance[]>([...names].sort().map((name) => [name, []]));
    for (const { endpoint, serial } of standing) {
      const { proxyId, service, instance, version, address, unhealthy } = endpoint;
      const revoked = serial === undefined ? undefined : judge.revocationOf(serial);
      const out = whyUnhealthy(known.get(proxyId), revoked, judge.nowMs) || whyHung(unhealthy);
      const testimony = heard.get(proxyId);
      const why = out || (testimony === undefined ? "" : renderTestimony(address, testimony));
      const healthy = out === "" && !(testimony !== undefined && isAvoided(testimony));
      instances.get(service)?.push({ proxyId, instance, version, address, healthy, why });
    }
    return [...instances].map(([name, endpoints]) => ({
      name,
      endpoints: endpoints.sort(byInstance),
      inPolicy: inPolicy.has(name),
    }));
  }

  /**
   * Returns the versions of each service among endpoints and proxies of the fleet. A route to another version deserves
   * a warning.
   */
  versions(fleet: readonly FleetEntry[], nowMs: number): ReadonlyMap<string, ReadonlySet<string>> {
    const versions = new Map<string, Set<string>>();
    for (const { endpoint } of this.#standing(nowMs)) addTo(versions, endpoint.service, endpoint.version);
    for (const { heartbeat, revoked } of fleet)
      if (revoked === undefined) addTo(versions, heartbeat.service, heartbeat.version);
    return versions;
  }

  /** Returns a problem for each instance that takes calls and that a caller cannot connect to or has ejected. */
  avoided(fleet: readonly FleetEntry[], nowMs: number): readonly Problem[] {
    const standing = this.#standing(nowMs).map(({ endpoint }) => endpoint);
    const heard = hearCallers(fleet, standing);
    if (heard.size === 0) return [];
    const taking = new Set(fleet.filter(({ live }) => live).map(({ heartbeat }) => heartbeat.proxyId));
    return reachProblems(
      standing.filter(({ proxyId }) => taking.has(proxyId)),
      heard,
    );
  }

  /** Returns problems about registered instances that get no calls because their applications do not answer. */
  hung(fleet: readonly FleetEntry[], nowMs: number): readonly Problem[] {
    const live = new Set(fleet.filter((one) => one.live).map(({ heartbeat }) => heartbeat.proxyId));
    const all = this.#standing(nowMs).filter(({ endpoint }) => live.has(endpoint.proxyId));
    const hung = all.filter(({ endpoint }) => endpoint.unhealthy !== undefined).slice(0, hungToldMax);
    return hung.map(({ endpoint: { instance, service, version, unhealthy } }) => ({
      code: "instance-unhealthy",
      message: `instance ${instance} of ${service} (${version}) gets no calls: ${whyHung(unhealthy)}`,
      subject: instance,
    }));
  }

  /** Returns the endpoints that take calls, by service. What callers say of them does not count. */
  served(fleet: readonly FleetEntry[]): ReadonlyMap<string, readonly Endpoint[]> {
    const served = new Map<string, Endpoint[]>();
    for (const { heartbeat, live } of fleet) {
      const endpoint = live && heartbeat.serving ? this.#endpoints.get(heartbeat.proxyId)?.endpoint : undefined;
      if (endpoint === undefined || endpoint.gone || endpoint.unhealthy !== undefined) continue;
      const known = served.get(endpoint.service);
      if (known === undefined) served.set(endpoint.service, [endpoint]);
      else known.push(endpoint);
    }
    return served;
  }

  /** Returns the endpoints that have not left and whose identity has not expired. */
  #standing(nowMs: number): readonly StatedEndpoint[] {
    for (const [id, { endsMs }] of this.#endpoints) if (endsMs < nowMs) this.#endpoints.delete(id);
    return [...this.#endpoints.values()].filter(({ endpoint }) => !endpoint.gone);
  }

  /** Removes the oldest tombstone: it only has to outlive older statements of its proxy. */
  #dropTombstone(): void {
    for (const [id, { endpoint }] of this.#endpoints) {
      if (!endpoint.gone) continue;
      this.#endpoints.delete(id);
      return;
    }
    const [oldest] = this.#endpoints.keys();
    if (oldest !== undefined) this.#endpoints.delete(oldest);
  }
}

function whyUnhealthy(entry: FleetEntry | undefined, revoked: Revocation | undefined, nowMs: number): string {
  const revocation = revoked ?? entry?.revoked;
  if (revocation !== undefined) return `its proxy's certificate ${renderRevoked(revocation, nowMs)}`;
  if (entry === undefined || !entry.live) return "its proxy is not heard of";
  return entry.heartbeat.serving ? "" : "no application is registered at its proxy";
}

function whyHung(unhealthy: string | undefined): string {
  return unhealthy === undefined ? "" : `its proxy says of its application: ${unhealthy}`;
}

function addTo(versions: Map<string, Set<string>>, service: string, version: string): void {
  const known = versions.get(service);
  if (known === undefined) versions.set(service, new Set([version]));
  else known.add(version);
}

function byInstance(a: ServiceInstance, b: ServiceInstance): number {
  return compareText(a.instance, b.instance) || compareText(a.proxyId, b.proxyId);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
