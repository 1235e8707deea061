/** Where the instances of each service are: from endpoint messages, judged by their proxies' heartbeats. Pure. */
import type { Endpoint, Heartbeat } from "../../core/model.js";
import { parseEndpoint } from "../../core/wire/fleet.js";
import { parseFleetSubject } from "../../core/wire/subjects.js";
import type { FleetEntry } from "../fleet/fleet-state.js";

export interface ServiceInstance {
  readonly proxyId: string;
  readonly instance: string;
  readonly version: string;
  /** "HOST:PORT". */
  readonly address: string;
  /** Its proxy is live and its application registered. */
  readonly healthy: boolean;
  /** Why it is not healthy; "" where it is. */
  readonly why: string;
}

export interface ServiceView {
  readonly name: string;
  /** Sorted by instance, then proxy id. */
  readonly endpoints: readonly ServiceInstance[];
  /** The active revision has it. */
  readonly inPolicy: boolean;
}

const endpointsMax = 20_000;

export class RegistryState {
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #endpointsMax: number;

  constructor(max: number = endpointsMax) {
    this.#endpointsMax = max;
  }

  /**
   * Takes an endpoint's bytes as they arrived on `subject`; of two statements the later counts. Fails with
   * `invalid_record` if the body disagrees with the subject, which NATS permissions bind to its writer.
   * At most 20 000 are kept.
   */
  hear(subject: string, bytes: Uint8Array): void {
    const writer = parseFleetSubject(subject);
    if (writer === undefined) return;
    const endpoint = parseEndpoint(bytes, writer);
    const known = this.#endpoints.get(endpoint.proxyId);
    if (known !== undefined && known.timeMs > endpoint.timeMs) return;
    if (known === undefined && this.#endpoints.size >= this.#endpointsMax) this.#dropTombstone();
    this.#endpoints.set(endpoint.proxyId, endpoint);
  }

  /** Every service that is in policy, has an endpoint or has a proxy; sorted by name. */
  list(fleet: readonly FleetEntry[], inPolicy: ReadonlySet<string>): readonly ServiceView[] {
    const live = new Map(
      fleet.filter((entry) => entry.live).map((entry) => [entry.heartbeat.proxyId, entry.heartbeat]),
    );
    const names = new Set(inPolicy);
    for (const { service, gone } of this.#endpoints.values()) if (!gone) names.add(service);
    for (const { service } of live.values()) names.add(service);
    const instances = new Map<string, ServiceInstance[]>([...names].sort().map((name) => [name, []]));
    for (const { proxyId, service, instance, version, address, gone } of this.#endpoints.values()) {
      if (gone) continue;
      const why = whyUnhealthy(live.get(proxyId));
      instances.get(service)?.push({ proxyId, instance, version, address, healthy: why === "", why });
    }
    return [...instances].map(([name, endpoints]) => ({
      name,
      endpoints: endpoints.sort(byInstance),
      inPolicy: inPolicy.has(name),
    }));
  }

  /** The versions of each service that endpoints and proxies of the fleet have; a route to others is worth a warning. */
  versions(fleet: readonly FleetEntry[]): ReadonlyMap<string, ReadonlySet<string>> {
    const versions = new Map<string, Set<string>>();
    for (const { service, version, gone } of this.#endpoints.values()) if (!gone) addTo(versions, service, version);
    for (const { heartbeat } of fleet) addTo(versions, heartbeat.service, heartbeat.version);
    return versions;
  }

  /** The versions of each service that have an instance that takes calls. */
  served(fleet: readonly FleetEntry[]): ReadonlyMap<string, ReadonlySet<string>> {
    const served = new Map<string, Set<string>>();
    for (const { heartbeat, live } of fleet) {
      const endpoint = live && heartbeat.serving ? this.#endpoints.get(heartbeat.proxyId) : undefined;
      if (endpoint === undefined || endpoint.gone) continue;
      addTo(served, endpoint.service, endpoint.version);
    }
    return served;
  }

  /** A tombstone only has to outlive older statements of its proxy; the oldest makes room first. */
  #dropTombstone(): void {
    for (const [id, { gone }] of this.#endpoints) {
      if (!gone) continue;
      this.#endpoints.delete(id);
      return;
    }
    const [oldest] = this.#endpoints.keys();
    if (oldest !== undefined) this.#endpoints.delete(oldest);
  }
}

function whyUnhealthy(heartbeat: Pick<Heartbeat, "serving"> | undefined): string {
  if (heartbeat === undefined) return "its proxy is not heard of";
  return heartbeat.serving ? "" : "no application is registered at its proxy";
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
