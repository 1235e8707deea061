/**
 * Where the instances of one service are, as their proxies say it: sans-I/O, time is given. Of two
 * statements of a proxy about itself the later counts, a tombstone like any other. A proxy whose
 * heartbeats stay away is gone once its lease has passed while other heartbeats arrive: silence of
 * everybody is our own loss of NATS and empties nothing. Mutable, because a heartbeat of one of
 * thousands must not cost a copy of them all.
 */
import type { Endpoint } from "../../core/model.js";

export const leaseMs = 10_000;
export const instancesMax = 10_000;

interface Instance {
  endpoint: Endpoint;
  heardMs: number;
  /** Its heartbeats lapsed, or it said that it leaves. */
  silent: boolean;
}

export class RegistryState {
  readonly #instances = new Map<string, Instance>();
  #live: readonly Endpoint[] = [];
  #stale = false;

  /** Live instances; the same array until something changes. */
  get live(): readonly Endpoint[] {
    if (this.#stale) {
      this.#live = [...this.#instances.values()].filter(isLive).map(({ endpoint }) => endpoint);
      this.#stale = false;
    }
    return this.#live;
  }

  /** Takes a statement that is later than what is known of its proxy. Says whether `live` changed. */
  takeEndpoint(endpoint: Endpoint, atMs: number): boolean {
    const known = this.#instances.get(endpoint.proxyId);
    if (known !== undefined && known.endpoint.timeMs >= endpoint.timeMs) return false;
    if (known === undefined && this.#instances.size >= instancesMax && !this.#forgetOne()) return false;
    this.#instances.set(endpoint.proxyId, { endpoint, heardMs: atMs, silent: false });
    return this.#changed(!endpoint.gone || (known !== undefined && isLive(known)));
  }

  /** Takes a heartbeat: its proxy is there, or is leaving. Says whether `live` changed. */
  takeHeartbeat(proxyId: string, leaving: boolean, atMs: number): boolean {
    const known = this.#instances.get(proxyId);
    if (known === undefined) return false;
    known.heardMs = atMs;
    if (known.silent === leaving) return false;
    known.silent = leaving;
    return this.#changed(!known.endpoint.gone);
  }

  /** Ends the leases that have passed; `lastHeardMs`: when the last heartbeat of anybody arrived. Says whether `live` changed. */
  look(atMs: number, lastHeardMs: number): boolean {
    if (atMs - lastHeardMs > leaseMs) return false; // nobody is heard: that says nothing about anyone
    let lapsed = false;
    for (const instance of this.#instances.values()) {
      if (instance.silent || atMs - instance.heardMs <= leaseMs || lastHeardMs <= instance.heardMs) continue;
      lapsed ||= isLive(instance);
      instance.silent = true;
    }
    return this.#changed(lapsed);
  }

  /** NATS was away until now and nobody could be heard: every lease begins anew. */
  renewLeases(atMs: number): void {
    for (const instance of this.#instances.values()) instance.heardMs = atMs;
  }

  /** Makes room: for one that is gone or silent, never for one that is live. */
  #forgetOne(): boolean {
    for (const [id, instance] of this.#instances) if (!isLive(instance)) return this.#instances.delete(id);
    return false;
  }

  #changed(changed: boolean): boolean {
    this.#stale ||= changed;
    return changed;
  }
}

function isLive(instance: Instance): boolean {
  return !instance.endpoint.gone && !instance.silent;
}
