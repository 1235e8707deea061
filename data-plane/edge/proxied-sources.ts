/** Finds out by PROXY protocol whose connections the balancers in front forward. No other peer is asked or believed. */
import type { Socket } from "node:net";
import type { Networks } from "../../runtime/networks.js";
import { plainAddress } from "../proxy/call-inputs.js";
import type { After } from "../proxy/forward/tell-http2.js";
import { proxyHeadBytes, readSource, restOf } from "./proxy-protocol.js";

/** The most connections that may be about to state it. */
const waitingMax = 2048;

export class ProxiedSources {
  readonly #from: Networks;
  /** The sources by the balancer's own address and port, which one open connection has at a time. */
  readonly #sources = new Map<string, string>();
  #waiting = 0;

  /** `from`: the addresses of the balancers. */
  constructor(from: Networks) {
    this.#from = from;
  }

  /** Returns the address of the client at the other end of a connection, with TLS or before it. */
  sourceOf(socket: Socket): string | undefined {
    return this.#sources.get(keyOf(socket)) ?? plainAddress(socket.remoteAddress);
  }

  /**
   * Reads what a balancer states first, then passes the connection on. A balancer that states nothing valid is
   * disconnected. Connections of other peers are passed on unchanged.
   */
  readonly front = (socket: Socket, pass: (socket: Socket) => void, after: After): void => {
    const address = plainAddress(socket.remoteAddress);
    if (address === undefined || !this.#from.has(address)) pass(socket);
    else if (this.#waiting >= waitingMax) socket.destroy();
    else this.#read(socket, pass, after);
  };

  #read(socket: Socket, pass: (socket: Socket) => void, after: After): void {
    this.#waiting++;
    let head: Buffer | undefined;
    const inTime = after(() => socket.destroy());
    const done = (): void => {
      inTime();
      socket.off("readable", read);
      socket.off("close", done);
      socket.off("error", ignore);
      this.#waiting--;
    };
    const read = (): void => {
      head ??= socket.read(proxyHeadBytes) ?? undefined;
      if (head === undefined) return;
      const length = restOf(head);
      const rest = length === 0 ? Buffer.alloc(0) : length === undefined ? undefined : socket.read(length);
      if (length !== undefined && rest === null) return;
      done();
      const source = rest ? readSource(head, rest) : "refused";
      if (source === "refused") return void socket.destroy();
      if (source !== undefined) this.#note(socket, source.address);
      pass(socket);
    };
    socket.on("error", ignore);
    socket.once("close", done);
    socket.on("readable", read);
  }

  #note(socket: Socket, address: string): void {
    const key = keyOf(socket);
    this.#sources.set(key, address);
    socket.once("close", () => this.#sources.delete(key));
  }
}

const ignore = (): void => {}; // "close" follows

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${plainAddress(remoteAddress)} ${remotePort}`;
}
