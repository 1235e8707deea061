/** A client that writes whatever bytes it is told, as no library would. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fromSeed } from "@nats-io/nkeys";
import type { TestUser } from "./nats.js";

export class RawNats {
  readonly #socket: Socket;
  #text = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      this.#text += bytes.toString("latin1");
    });
  }

  static async open(url: string, { jwt, seed }: TestUser): Promise<RawNats> {
    const { hostname, port } = new URL(url);
    const raw = new RawNats(connect({ host: hostname, port: Number(port) }));
    const [info = ""] = await raw.#until(/^INFO (.*)\r\n/);
    const { nonce } = JSON.parse(info) as { nonce: string };
    const sig = Buffer.from(fromSeed(Buffer.from(seed)).sign(Buffer.from(nonce))).toString("base64url");
    raw.write(
      `CONNECT ${JSON.stringify({ verbose: false, pedantic: false, headers: true, jwt, sig, protocol: 1 })}\r\n`,
    );
    await raw.flush();
    return raw;
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  /** How often the server has said `text` since the last flush began. */
  heard(text: string): number {
    return this.#text.split(text).length - 1;
  }

  write(text: string): void {
    this.#socket.write(Buffer.from(text, "latin1"));
  }

  /** Publishes with a header block of exactly these characters. */
  publish(subject: string, block: string, body: string, reply = ""): void {
    const to = reply === "" ? subject : `${subject} ${reply}`;
    const header =
      block === "" ? `PUB ${to} ${body.length}` : `HPUB ${to} ${block.length} ${block.length + body.length}`;
    this.write(`${header}\r\n${block}${body}\r\n`);
  }

  /** Resolves when the server has handled what was written, or has ended the connection. */
  async flush(): Promise<void> {
    this.#text = "";
    if (this.#socket.destroyed) return;
    this.write("PING\r\n");
    const pong = this.#until(/PONG\r\n()/).catch(() => {}); // the server may have ended the connection
    await Promise.race([pong, once(this.#socket, "close").catch(() => {})]);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #until(pattern: RegExp): Promise<string[]> {
    for (;;) {
      const found = pattern.exec(this.#text);
      if (found !== null) return found.slice(1);
      await once(this.#socket, "data");
    }
  }
}
