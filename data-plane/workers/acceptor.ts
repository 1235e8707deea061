import { createServer, type Server, type Socket } from "node:net";
import type { SocketAddress } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import { listenForCalls } from "../proxy/forward/listen-for-calls.js";

/**
 * Accepts connections and hands each to a worker before anything is read. The kernel would distribute them unevenly.
 */
export class Acceptor {
  readonly #server: Server;
  readonly #log: Logger;

  /** `hand` takes a connection and returns false if no worker can. */
  constructor(hand: (socket: Socket) => boolean, log: Logger) {
    this.#log = log;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on("error", () => {}); // the worker that takes it sees its end
      if (!hand(socket)) socket.destroy();
    });
  }

  /** Listens. Returns the address with its real port. Fails with `unavailable` if the port is taken. */
  listen(address: SocketAddress): Promise<SocketAddress> {
    return listenForCalls(this.#server, address, this.#log);
  }

  /** Stops accepting. Connections that were handed over are not affected. */
  close(): void {
    this.#server.close();
  }
}
