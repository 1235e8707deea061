/**
 * Where the instances of one service are, as their proxies say it: sans-I/O, time is given. Of two
 * statements of a proxy about itself the later counts, a tombstone like any other. A proxy whose
 * heartbeats stay away is gone once its lease has passed while other heartbeats arrive: silence of
 * everybody is our own loss of NATS and empties nothing. One that was not heard of lately (its statement is
 * old, and no heartbeat has come yet) counts only where its version has no better one. Mutable, because a
 * heartbeat of one of thousands must not cost a copy of them all.
 */
import type { Endpoint } from "../../core/model.js";
import type { BusMessage } from "../../runtime/bus.js";

export const leaseMs = 10_000;
export const instancesMax = 10_000;

/** An endpoint, and the certificate that signed its statement. */
export interface StatedEndpoint {
  readonly endpoint: Endpoint;
  /** The serial number of the signing certificate. undefined: the proxy's version does not sign statements. */
  readonly serial: string | undefined;
  /**
   * When the signing certificate ends, plus the allowed skew, in Unix milliseconds. The endpoint does not count after
   * that.
   */
  readonly endsMs: number;
  /** True if the endpoint was stated or a heartbeat arrived recently. */
  readonly recent: boolean;
}

/** A heartbeat whose signature is verified only when it is needed. */
export interface PendingHeartbeat {
  readonly message: BusMessage;
  readonly atMs: number;
}

export interface Instance extends StatedEndpoint {
  recent: boolean;
  heardMs: number;
  /** Whether the proxy's heartbeats lapsed, or it said that it leaves. */
  silent: boolean;
  pending: PendingHeartbeat | undefined;
  /** When a heartbeat of the proxy was last verified. */
  judgedMs: number;
  /**
   * When a message that claimed to be this proxy's heartbeat was last refused. Silence ends no lease while forgeries
   * arrive.
   */
  refusedMs: number;
}

export class RegistryState {
  readonly #instances = new Map<string, Instance>();
  #live: readonly Endpoint[] = [];
  #stale = false;

  /** The live instances. The same array is returned until something changes. */
  get live(): readonly Endpoint[] {
    if (this.#stale) {
      const live = [...this.#instances.values()].filter(isLive);
      const heard = new Set(live.filter(({ recent }) => recent).map(({ endpoint }) => endpoint.version));
      this.#live = live
        .filter(({ recent, endpoint }) => recent || !heard.has(endpoint.version))
        .map(({ endpoint }) => endpoint);
      this.#stale = false;
    }
    return this.#live;
  }

  /** The endpoints of proxies that have not left and are not silent. */
  get kept(): readonly Instance[] {
    return [...this.#instances.values()].filter(isLive);
  }

  all(): IterableIterator<Instance> {
    return this.#instances.values();
  }

  find(proxyId: string): Instance | undefined {
    return this.#instances.get(proxyId);
  }

  /** Takes a statement that is newer than what is known of its proxy. Returns whether `live` may have changed. */
  takeEndpoint(stated: StatedEndpoint, atMs: number): boolean {
    const { endpoint } = stated;
    const known = this.#instances.get(endpoint.proxyId);
    if (known !== undefined && known.endpoint.timeMs >= endpoint.timeMs) return false;
    if (known === undefined && this.#instances.size >= instancesMax && !this.#forgetOne()) return false;
    const never = Number.NEGATIVE_INFINITY;
    const heard = { heardMs: atMs, silent: false, pending: undefined, judgedMs: never, refusedMs: never };
    this.#instances.set(endpoint.proxyId, { ...stated, ...heard });
    return this.#changed(!endpoint.gone || (known !== undefined && isLive(known)));
  }

  /** Takes a verified heartbeat, which says that its proxy runs or leaves. Returns whether `live` changed. */
  takeHeartbeat(proxyId: string, leaving: boolean, atMs: number): boolean {
    const known = this.#instances.get(proxyId);
    if (known === undefined) return false;
    known.heardMs = atMs;
    if (known.silent === leaving && known.recent) return false;
    known.silent = leaving;
    known.recent = true;
    return this.#changed(!known.endpoint.gone);
  }

  /**
   * Ends the leases that have passed, except those whose heartbeats may be lost among forged ones. `lastHeardMs`: when
   * any heartbeat last arrived. Returns whether `live` changed.
   */
  look(atMs: number, lastHeardMs: number, nowMs = 0): boolean {
    if (atMs - lastHeardMs > leaseMs) return false; // nobody is heard: that says nothing about anyone
    let lapsed = false;
    for (const instance of this.#instances.values()) {
      if (instance.silent) continue;
      const expired = instance.endsMs < nowMs;
      const heard = atMs - instance.heardMs <= leaseMs || lastHeardMs <= instance.heardMs;
      if (!expired && (heard || atMs - instance.refusedMs <= leaseMs)) continue;
      lapsed ||= isLive(instance);
      instance.silent = true;
    }
    return this.#changed(lapsed);
  }

  /** Forgets the proxies whose certificate does not count any more. Returns whether `live` changed. */
  drop(isRevoked: (serial: string) => boolean): boolean {
    let dropped = false;
    for (const [id, instance] of this.#instances) {
      if (instance.serial === undefined || !isRevoked(instance.serial)) continue;
      dropped ||= isLive(instance);
      this.#instances.delete(id);
    }
    return this.#changed(dropped);
  }

  /** Renews every lease, because NATS was away and nobody could be heard. */
  renewLeases(atMs: number): void {
    for (const instance of this.#instances.values()) instance.heardMs = atMs;
  }

  /** Makes room by forgetting a proxy that is gone or silent, never a live one. Returns false if there is none. */
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
