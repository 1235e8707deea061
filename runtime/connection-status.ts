import { AshlarError } from "../core/errors.js";
import { onAbort } from "./abort.js";

/** Tracks whether there is a connection, with listeners and waiters. */
export class ConnectionStatus {
  readonly #listeners = new Set<(status: { readonly connected: boolean }) => void>();
  readonly #closed: AbortSignal;
  #connected: boolean;

  /** When `closed` aborts, all waiters fail. */
  constructor(closed: AbortSignal, connected = false) {
    this.#closed = closed;
    this.#connected = connected;
  }

  get connected(): boolean {
    return this.#connected;
  }

  set(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    for (const listener of [...this.#listeners]) listener({ connected });
  }

  onChange(listener: (status: { readonly connected: boolean }) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves as soon as there is a connection. Fails with `unavailable` when `signal` aborts or the owner closes. */
  whenConnected(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const offs: (() => void)[] = [];
      const finish = (): void => {
        const gone = this.#closed.aborted || signal?.aborted === true;
        if (!this.#connected && !gone) return;
        for (const off of offs) off();
        if (this.#connected && !this.#closed.aborted) resolve();
        else reject(new AshlarError("unavailable", "stopped waiting for NATS"));
      };
      offs.push(this.onChange(finish), onAbort(this.#closed, finish));
      if (signal !== undefined) offs.push(onAbort(signal, finish));
      finish();
    });
  }
}
