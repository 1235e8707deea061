/**
 * The outside clients whose connections a gateway's first process counts: at which workers they are, and when they
 * leave.
 */
import type { FromWorker, ListenerName, ToWorker } from "./messages.js";
import { NetworkSpread, type Spread } from "./network-spread.js";

export class CrewClients {
  readonly #say: (worker: number, message: ToWorker) => void;
  readonly #spread = new NetworkSpread();
  /** Called when a counted connection has ended. */
  onLeft: ((listener: number, address: string) => void) | undefined;

  constructor(say: (worker: number, message: ToWorker) => void) {
    this.#say = say;
  }

  /** Notes a connection that was handed to a worker. `address` undefined: its client is not counted here. */
  handed(worker: number, listener: ListenerName, address: string | undefined): void {
    if (address !== undefined && listener !== "inbound") this.#tell(this.#spread.opened(listener, address, worker));
  }

  left(worker: number, { listener, address }: FromWorker & { readonly kind: "closed" }): void {
    if (address === undefined || listener === "inbound") return;
    this.#tell(this.#spread.closed(listener, address, worker));
    this.onLeft?.(listener, address);
  }

  /** Notes that the worker has ended, and with it all of its connections. */
  gone(worker: number): void {
    const { tell, ended } = this.#spread.gone(worker);
    this.#tell(tell);
    for (const { listener, address } of ended) this.onLeft?.(listener, address);
  }

  #tell(spread: readonly Spread[]): void {
    for (const { worker, ...rest } of spread) this.#say(worker, { kind: "spread", ...rest });
  }
}
