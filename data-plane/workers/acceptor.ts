import { createServer, type Server, type Socket } from "node:net";
import type { SocketAddress } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import { listenOn } from "../proxy/forward/listen-on.js";

/** Accepts connections and gives each away unread: the kernel would share a listener's connections out unevenly. */
export class Acceptor {
  readonly #server: Server;
  readonly #log: Logger;

  /** `hand`: takes a connection; false: nobody can. */
  constructor(hand: (socket: Socket) => boolean, log: Logger) {
    this.#log = log;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on("error", () => {}); // whoever takes it sees its end
      if (!hand(socket)) socket.destroy();
    });
  }

  /** Gives the address with its real port. Fails with `unavailable` when it is taken. */
  listen(address: SocketAddress): Promise<SocketAddress> {
    return listenOn(this.#server, address, this.#log);
  }

  /** Takes no more connections; those that were given away are not touched. */
  close(): void {
    this.#server.close();
  }
}
