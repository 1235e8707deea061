import { connect, createServer, type Server, type Socket } from "node:net";

/** A TCP relay on loopback that counts the bytes of a subscriber's NATS connection, protocol included. */
export class CountingRelay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Bytes from the server to the subscriber since the start. */
  receivedBytes = 0;
  /** Bytes from the subscriber to the server since the start. */
  sentBytes = 0;

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#server = createServer((near) => {
      const far = connect(target);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => near.destroy());
        socket.on("close", () => {
          near.destroy();
          far.destroy();
        });
      }
      near.on("data", (data) => {
        this.sentBytes += data.length;
        far.write(data);
      });
      far.on("data", (data) => {
        this.receivedBytes += data.length;
        near.write(data);
      });
    });
  }

  /** Starts a relay to "nats://HOST:PORT". */
  static async start(url: string): Promise<CountingRelay> {
    const { hostname, port } = new URL(url);
    const relay = new CountingRelay({ host: hostname, port: Number(port) });
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get url(): string {
    const address = this.#server.address();
    return `nats://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
