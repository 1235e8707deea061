/**
 * Keeps which instances this process could connect to, which it could not, and which it has ejected. The log and the
 * control plane are told.
 */
import {
  type EjectedFact,
  ejectedToldMax,
  type ReachFact,
  reachedToldMax,
  reachWhyMax,
  unreachedToldMax,
} from "../../core/reach.js";
import { isProxyId } from "../../core/wire/bounds.js";

/** The parts of an endpoint that name a dialled instance. */
export interface Dialled {
  /** An address of an egress has its IP address here. */
  readonly proxyId: string;
  readonly service: string;
  readonly address: string;
}

interface Unreachable {
  readonly endpoint: Dialled;
  readonly sinceMs: number;
  why: string;
  lastMs: number;
  told: boolean;
}

/**
 * An instance is reported after this time. A restarting instance refuses connections for a moment, which is no news.
 */
const tellAfterMs = 5000;
/**
 * A failure is forgotten after this time. Perhaps nobody calls the instance any more, so nobody finds out that it
 * recovered.
 */
const forgetFailureMs = 120_000;
/** A success is forgotten after this time. Connections are replaced every hour, with the certificate. */
const forgetReachedMs = 2 * 3_600_000;
const instancesMax = 1024;

export class Reaches {
  readonly #nowMs: () => number;
  /** The instances that cannot be reached, by proxy and address. An instance with a new address begins a new entry. */
  readonly #unreached = new Map<string, Unreachable>();
  /** The instances that were reached, by proxy id, the latest last. */
  readonly #reached = new Map<string, { readonly address: string; readonly atMs: number }>();

  /** The ejected instances, by proxy id: why, and until when (monotonic milliseconds). */
  readonly #ejected = new Map<string, { readonly why: string; readonly untilMs: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Notes that connecting to an instance failed. Returns true once, when that has been so for 5 s. */
  failed(endpoint: Dialled, why: string): boolean {
    const nowMs = this.#nowMs();
    const key = keyOf(endpoint);
    const known = this.#unreached.get(key);
    if (known === undefined) {
      makeRoom(this.#unreached);
      this.#unreached.set(key, { endpoint, sinceMs: nowMs, lastMs: nowMs, why, told: false });
      return false;
    }
    known.lastMs = nowMs;
    known.why = why;
    if (known.told || nowMs - known.sinceMs < tellAfterMs) return false;
    known.told = true;
    this.#reached.delete(endpoint.proxyId);
    return true;
  }

  /** Notes that an instance was connected to. Returns true if it had been reported as unreachable. */
  reached(endpoint: Dialled): boolean {
    const { proxyId, address } = endpoint;
    this.#reached.delete(proxyId);
    makeRoom(this.#reached);
    this.#reached.set(proxyId, { address, atMs: this.#nowMs() });
    if (this.#unreached.size === 0) return false;
    const key = keyOf(endpoint);
    const told = this.#unreached.get(key)?.told === true;
    this.#unreached.delete(key);
    return told;
  }

  /**
   * Returns what a heartbeat reports. An instance that nobody tried to reach lately is left out, as are addresses outside
   * the mesh: a heartbeat is about proxies alone.
   */
  read(): readonly ReachFact[] {
    const nowMs = this.#nowMs();
    const unreached = this.#current(nowMs)
      .filter(({ endpoint }) => isProxyId(endpoint.proxyId))
      .slice(-unreachedToldMax);
    const facts = unreached.map(({ endpoint: { proxyId, address }, why, lastMs }): ReachFact => {
      return { proxyId, address, why: clip(why), agoMs: Math.max(0, nowMs - lastMs) };
    });
    const reached = [...this.#reached].filter(([proxyId]) => isProxyId(proxyId)).slice(-reachedToldMax);
    for (const [proxyId, { address, atMs }] of reached)
      if (nowMs - atMs <= forgetReachedMs) facts.push({ proxyId, address, why: "", agoMs: Math.max(0, nowMs - atMs) });
    return facts;
  }

  /** Notes that an instance gets no calls until `untilMs`. */
  ejected(proxyId: string, why: string, untilMs: number): void {
    this.#ejected.delete(proxyId);
    makeRoom(this.#ejected);
    this.#ejected.set(proxyId, { why, untilMs });
  }

  /** Notes that an instance gets calls again before its ejection ends. */
  returned(proxyId: string): void {
    this.#ejected.delete(proxyId);
  }

  /** Returns the proxies whose time is not over, whether calls come that could go to them or not. */
  ejections(): readonly EjectedFact[] {
    const nowMs = this.#nowMs();
    for (const [proxyId, { untilMs }] of this.#ejected) if (untilMs <= nowMs) this.#ejected.delete(proxyId);
    const ejected = [...this.#ejected].filter(([proxyId]) => isProxyId(proxyId)).slice(-ejectedToldMax);
    return ejected.map(([proxyId, { why }]) => ({ proxyId, why: clip(why) }));
  }

  /** Returns how many instances of each service cannot be connected to. */
  countUnreached(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { endpoint } of this.#current(this.#nowMs()))
      counts.set(endpoint.service, (counts.get(endpoint.service) ?? 0) + 1);
    return counts;
  }

  /** Returns the instances that are unreachable now. The one that was tried last comes last. */
  #current(nowMs: number): readonly Unreachable[] {
    return [...this.#unreached.values()]
      .filter(({ told, lastMs }) => told && nowMs - lastMs <= forgetFailureMs)
      .sort((a, b) => a.lastMs - b.lastMs);
  }
}

function keyOf({ proxyId, address }: Dialled): string {
  return `${proxyId} ${address}`;
}

function makeRoom(map: Map<string, unknown>): void {
  const [oldest] = map.keys();
  if (oldest !== undefined && map.size >= instancesMax) map.delete(oldest);
}

/** Returns a reason in the form that the wire takes: printable ASCII, not empty. */
function clip(why: string): string {
  return (
    why
      .replace(/[^\x20-\x7e]+/g, " ")
      .slice(0, reachWhyMax)
      .trim() || "unknown"
  );
}
