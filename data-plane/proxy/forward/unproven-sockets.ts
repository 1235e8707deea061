/** Connections of which nobody knows yet who is at their other end. */
import type { Socket } from "node:net";
import { descriptorsLeft } from "../../../runtime/descriptors.js";

/** With few descriptors, proven connections, files and NATS keep three quarters of them. */
export function fittingUnproven(wanted: number): number {
  return Math.max(1, Math.min(wanted, Math.floor(descriptorsLeft() / 4)));
}

/**
 * Where there is no room the oldest goes, so whoever opens connections and does not say who it is keeps nobody out. No
 * bound for each address: many proxies of one node, or behind one NAT, have the same.
 */
export class UnprovenSockets {
  readonly #max: number;
  /** The oldest first. */
  readonly #sockets = new Map<string, Socket>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Returns false if another one was closed to make room. */
  add(socket: Socket): boolean {
    const key = keyOf(socket);
    this.#sockets.delete(key);
    this.#sockets.set(key, socket);
    socket.once("close", () => {
      if (this.#sockets.get(key) === socket) this.#sockets.delete(key);
    });
    if (this.#sockets.size <= this.#max) return true;
    for (const [oldest, gone] of this.#sockets) {
      this.#sockets.delete(oldest);
      gone.destroy();
      return false;
    }
    return true;
  }

  /** The handshake is over: `socket` may be the one that was added, or what TLS made of it. */
  remove(socket: Socket): void {
    this.#sockets.delete(keyOf(socket));
  }
}

/** TLS wraps a socket into another one; the addresses are the same. */
const keyOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
