/** In which order and how fast a listener begins handshakes of TLS with strangers. */
import type { Socket } from "node:net";

/** Handshakes that begin in one turn of the event loop. Each costs up to a millisecond, for which everybody else waits. */
const perTurn = 4;
/** More than a client says before it is answered: one record of TLS (RFC 8446, 5.1). Who says more speaks no TLS. */
const helloBytesMax = 5 + 2 ** 14;

/**
 * Begins with a connection once its client has said something, in the order in which clients did, and with few of them a turn. So a
 * flood of handshakes at one listener holds up calls, and the clients of others, no longer than a few handshakes take; and who
 * says nothing costs no TLS.
 */
export class HandshakeTurns {
  readonly #begin: (socket: Socket) => void;
  /** Those that have said something, in that order. */
  readonly #waiting = new Set<Socket>();
  #isScheduled = false;

  constructor(begin: (socket: Socket) => void) {
    this.#begin = begin;
  }

  add(socket: Socket): void {
    socket.on("error", () => {}); // "close" follows
    socket.once("close", () => this.#waiting.delete(socket));
    if (socket.readableLength > 0) return void this.#queue(socket);
    const ready = (): void => {
      socket.off("readable", ready);
      if (socket.readableLength > 0) this.#queue(socket);
      else socket.destroy(); // its end came first
    };
    socket.on("readable", ready);
  }

  #queue(socket: Socket): void {
    if (socket.readableLength > helloBytesMax) return void socket.destroy();
    this.#waiting.add(socket);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#isScheduled = false;
    let left = perTurn;
    for (const socket of this.#waiting) {
      // a worker's sockets go on reading while they wait: Node sets no bound of ours for those that another process sends
      const isTooLong = socket.readableLength > helloBytesMax;
      if (!isTooLong && left === 0) continue;
      this.#waiting.delete(socket);
      if (isTooLong) socket.destroy();
      else {
        left -= 1;
        this.#begin(socket);
      }
    }
    if (this.#waiting.size > 0) this.#schedule();
  }
}
