/** The outside clients whose connections a gateway's first process counts: where they are, and when they leave. */
import type { FromWorker, ListenerName, ToWorker } from "./messages.js";
import { NetworkSpread, type Spread } from "./network-spread.js";

export class CrewClients {
  readonly #say: (worker: number, message: ToWorker) => void;
  readonly #spread = new NetworkSpread();
  /** Called when a connection that was counted has ended. */
  onLeft: ((listener: number, address: string) => void) | undefined;

  constructor(say: (worker: number, message: ToWorker) => void) {
    this.#say = say;
  }

  /** `address` undefined: of somebody whose connections are not counted here. */
  handed(worker: number, listener: ListenerName, address: string | undefined): void {
    if (address !== undefined && listener !== "inbound") this.#tell(this.#spread.opened(listener, address, worker));
  }

  left(worker: number, { listener, address }: FromWorker & { readonly kind: "closed" }): void {
    if (address === undefined || listener === "inbound") return;
    this.#tell(this.#spread.closed(listener, address, worker));
    this.onLeft?.(listener, address);
  }

  /** The worker has ended, and all of its connections with it. */
  gone(worker: number): void {
    const { tell, ended } = this.#spread.gone(worker);
    this.#tell(tell);
    for (const { listener, address } of ended) this.onLeft?.(listener, address);
  }

  #tell(spread: readonly Spread[]): void {
    for (const { worker, ...rest } of spread) this.#say(worker, { kind: "spread", ...rest });
  }
}
