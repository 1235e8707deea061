/** Bounds the connections of applications that read directly, so that a thief of their certificates keeps no proxy out. */
import type { Socket } from "node:net";

/** The most connections of the applications beside one proxy; 16 of them may register there. */
export const readersOfProxyMax = 64;

export class ReaderShare {
  readonly #max: number;
  readonly #ofProxy = new Map<string, number>();
  #open = 0;

  /** `connectionsMax`: how many connections the listener takes. Half of them may be of applications. */
  constructor(connectionsMax: number) {
    this.#max = Math.floor(connectionsMax / 2);
  }

  /** Counts the connection of an application beside `proxy` until it closes. Returns false if there are too many. */
  take(socket: Socket, proxy: string): boolean {
    const ofProxy = this.#ofProxy.get(proxy) ?? 0;
    if (this.#open >= this.#max || ofProxy >= readersOfProxyMax || socket.destroyed) return false;
    this.#open += 1;
    this.#ofProxy.set(proxy, ofProxy + 1);
    socket.once("close", () => this.#give(proxy));
    return true;
  }

  #give(proxy: string): void {
    this.#open -= 1;
    const left = (this.#ofProxy.get(proxy) ?? 1) - 1;
    if (left === 0) this.#ofProxy.delete(proxy);
    else this.#ofProxy.set(proxy, left);
  }
}
