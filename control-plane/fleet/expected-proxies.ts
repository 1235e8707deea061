/**
 * Proxies that were given an identity and were not heard from since: the part of the leased roster that heartbeats
 * cannot tell. It is kept in memory: after a restart of the control plane a proxy is expected from its next renewal on.
 * Pure: time is handed in.
 */

import { BoundedMap } from "../../core/bounded-map.js";

export interface ExpectedProxy {
  readonly proxyId: string;
  readonly service: string;
  readonly version: string;
  /** When the proxy got its identity, in Unix milliseconds. */
  readonly sinceMs: number;
}

export interface ExpectedOptions {
  /** The milliseconds after it got its identity during which a proxy is not reported. */
  readonly graceMs: number;
  /** The milliseconds for which a proxy is expected: the life of a certificate. */
  readonly forgetMs: number;
  readonly proxiesMax: number;
}

const defaults: ExpectedOptions = { graceMs: 10_000, forgetMs: 24 * 3_600_000, proxiesMax: 20_000 };

export class ExpectedProxies {
  readonly #options: ExpectedOptions;
  /** In the order in which they were added. */
  readonly #expected: BoundedMap<string, ExpectedProxy>;

  constructor(options: ExpectedOptions = defaults) {
    this.#options = options;
    this.#expected = new BoundedMap(options.proxiesMax);
  }

  /** Notes that a proxy got an identity and was not heard from yet. If there are too many, the oldest is forgotten. */
  expect(proxy: ExpectedProxy): void {
    this.#expected.set(proxy.proxyId, proxy);
  }

  heard(proxyId: string): void {
    this.#expected.delete(proxyId);
  }

  /** Returns the proxies that should have been heard from by now, oldest first. */
  missing(nowMs: number): readonly ExpectedProxy[] {
    const { graceMs, forgetMs } = this.#options;
    for (const [id, { sinceMs }] of this.#expected) if (nowMs - sinceMs > forgetMs) this.#expected.delete(id);
    return [...this.#expected.values()].filter(({ sinceMs }) => nowMs - sinceMs >= graceMs);
  }
}
