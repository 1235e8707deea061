/** What a listener shows and asks for in its handshakes; replaced while it listens. Connections that are open keep theirs. */
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
