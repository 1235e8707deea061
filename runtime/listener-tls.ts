/**
 * The certificate and trust that a listener uses in handshakes. They can be replaced while it listens; open connections
 * keep the old ones.
 */
import type { TlsOptions } from "node:tls";

export class ListenerTls {
  #current: TlsOptions;
  readonly #listeners = new Set<(next: TlsOptions) => void>();

  constructor(first: TlsOptions) {
    this.#current = first;
  }

  get current(): TlsOptions {
    return this.#current;
  }

  renew(next: TlsOptions): void {
    this.#current = next;
    for (const listener of this.#listeners) listener(next);
  }

  onRenew(listener: (next: TlsOptions) => void): void {
    this.#listeners.add(listener);
  }
}
