/** Bounds the connections whose peer has not proved its identity yet. */
import type { Socket } from "node:net";
import { descriptorsLeft } from "../../../runtime/descriptors.js";

/**
 * Returns how many such connections fit, at most `wanted`: a quarter of the descriptors that are left. Proven connections,
 * files and NATS keep the rest.
 */
export function fittingUnproven(wanted: number): number {
  return Math.max(1, Math.min(wanted, Math.floor(descriptorsLeft() / 4)));
}

/**
 * Closes the oldest socket when there is no room, so that a client that opens connections and proves nothing keeps nobody
 * out. There is no bound per address: the proxies of one node, or behind one NAT, share an address.
 */
export class UnprovenSockets {
  readonly #max: number;
  /** The sockets in the order they were added. */
  readonly #sockets = new Map<string, Socket>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Adds a socket. Returns false if an older one was closed to make room. */
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

  /** Removes a socket whose handshake is over: the one that was added, or the TLS socket that wraps it. */
  remove(socket: Socket): void {
    this.#sockets.delete(keyOf(socket));
  }
}

/** A TLS socket and the socket that it wraps have the same addresses. */
const keyOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
