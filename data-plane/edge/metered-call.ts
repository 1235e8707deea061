import type { CallFacts } from "../proxy/forward/call-facts.js";
import { CallObserver } from "../proxy/forward/call-observer.js";

/** Reports the bytes of a call's messages in both directions as they arrive. */
export class MeteredCall extends CallObserver {
  readonly #take: (bytes: number) => void;

  constructor(take: (bytes: number) => void) {
    super();
    this.#take = take;
  }

  override data(call: CallFacts, fromCaller: boolean, bytes: Uint8Array, start: number, end: number): void {
    super.data(call, fromCaller, bytes, start, end);
    if (end > start) this.#take(end - start);
  }
}
