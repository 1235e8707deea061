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

interface Unproven {
  readonly socket: Socket;
  sinceMs: number;
}

/**
 * Closes a socket after `msMax`, and the oldest when there is no room, so that a client that opens connections and proves nothing keeps nobody
 * out. There is no bound per address: the proxies of one node, or behind one NAT, share an address.
 */
export class UnprovenSockets {
  readonly #max: number;
  readonly #msMax: number;
  readonly #nowMs: () => number;
  /** The sockets in the order they were added. */
  readonly #sockets = new Map<string, Unproven>();

  constructor(max: number, msMax: number, nowMs: () => number) {
    this.#max = max;
    this.#msMax = msMax;
    this.#nowMs = nowMs;
  }

  /** Adds a socket. Returns false if an older one was closed to make room. */
  add(socket: Socket): boolean {
    const key = keyOf(socket);
    this.#sockets.delete(key);
    this.#sockets.set(key, { socket, sinceMs: this.#nowMs() });
    socket.once("close", () => {
      if (this.#sockets.get(key)?.socket === socket) this.#sockets.delete(key);
    });
    if (this.#sockets.size <= this.#max) return true;
    for (const [oldest, gone] of this.#sockets) {
      this.#sockets.delete(oldest);
      gone.socket.destroy();
      return false;
    }
    return true;
  }

  /** Closes the sockets whose time is over. Called about once a second; see `LoopMember.tick`. */
  endLate(nowMs: number, lostMs: number): void {
    if (lostMs > 0) for (const one of this.#sockets.values()) one.sinceMs += lostMs;
    for (const [key, { socket, sinceMs }] of this.#sockets) {
      if (nowMs - sinceMs <= this.#msMax) return;
      this.#sockets.delete(key);
      socket.destroy();
    }
  }

  /** Removes a socket whose handshake is over: the one that was added, or the TLS socket that wraps it. */
  remove(socket: Socket): void {
    this.#sockets.delete(keyOf(socket));
  }
}

/** A TLS socket and the socket that it wraps have the same addresses. */
const keyOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
