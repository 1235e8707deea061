/**
 * Proxies that were given an identity and were not heard of since: the part of the leased roster that heartbeats
 * cannot tell. Kept in memory: after a restart of the control plane a proxy is expected from its next renewal on.
 * Pure: time is handed in.
 */

import { BoundedMap } from "../../core/bounded-map.js";

export interface ExpectedProxy {
  readonly proxyId: string;
  readonly service: string;
  readonly version: string;
  /** When it got its identity, Unix time in milliseconds. */
  readonly sinceMs: number;
}

export interface ExpectedOptions {
  /** So long after it got its identity nothing is said about a proxy. */
  readonly graceMs: number;
  /** So long it is expected: a certificate's life. */
  readonly forgetMs: number;
  readonly proxiesMax: number;
}

const defaults: ExpectedOptions = { graceMs: 10_000, forgetMs: 24 * 3_600_000, proxiesMax: 20_000 };

export class ExpectedProxies {
  readonly #options: ExpectedOptions;
  /** In the order they were expected. */
  readonly #expected: BoundedMap<string, ExpectedProxy>;

  constructor(options: ExpectedOptions = defaults) {
    this.#options = options;
    this.#expected = new BoundedMap(options.proxiesMax);
  }

  /** It got an identity and was not heard of yet; of too many the oldest are forgotten. */
  expect(proxy: ExpectedProxy): void {
    this.#expected.set(proxy.proxyId, proxy);
  }

  heard(proxyId: string): void {
    this.#expected.delete(proxyId);
  }

  /** The proxies that should have been heard of by now, oldest first. */
  missing(nowMs: number): readonly ExpectedProxy[] {
    const { graceMs, forgetMs } = this.#options;
    for (const [id, { sinceMs }] of this.#expected) if (nowMs - sinceMs > forgetMs) this.#expected.delete(id);
    return [...this.#expected.values()].filter(({ sinceMs }) => nowMs - sinceMs >= graceMs);
  }
}
