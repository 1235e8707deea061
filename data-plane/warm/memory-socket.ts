import { EventEmitter } from "node:events";
import type { Socket } from "node:net";

const bufferBytes = 16_384;

/**
 * The part of a socket that the engine uses, in memory: what one end writes, the other end receives in the next turn.
 */
export class MemorySocket extends EventEmitter {
  readonly alpnProtocol = "h2";
  readonly remoteAddress = "127.0.0.1";
  destroyed = false;
  private peer: MemorySocket | undefined;
  #buffer = Buffer.allocUnsafeSlow(bufferBytes);
  #length = 0;
  #scheduled = false;

  protected constructor() {
    super();
  }

  /** Returns two sockets that are connected to each other. */
  static pair(): readonly [Socket, Socket] {
    return MemorySocket.connect(new MemorySocket(), new MemorySocket());
  }

  protected static connect(one: MemorySocket, other: MemorySocket): readonly [Socket, Socket] {
    one.peer = other;
    other.peer = one;
    return [one as unknown as Socket, other as unknown as Socket];
  }

  isSessionReused(): boolean {
    return false;
  }

  setNoDelay(): this {
    return this;
  }

  read(): null {
    return null;
  }

  resume(): this {
    return this;
  }

  pause(): this {
    return this;
  }

  _write(chunk: Buffer, _encoding: string, written: () => void): void {
    this.peer?.receive(chunk);
    written();
  }

  _writev(chunks: readonly { readonly chunk: Buffer }[], written: () => void): void {
    for (const { chunk } of chunks) this.peer?.receive(chunk);
    written();
  }

  end(): this {
    return this.destroy();
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    setImmediate(() => this.emit("close"));
    const { peer } = this;
    if (peer?.destroyed === false) setImmediate(() => peer.emit("end"));
    return this;
  }

  /** Delivers bytes that have arrived. They are valid only during the call. */
  protected take(bytes: Buffer): void {
    this.emit("data", bytes);
  }

  private receive(chunk: Buffer): void {
    if (this.#length + chunk.length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(2 * (this.#length + chunk.length));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length += chunk.length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#deliver);
  }

  readonly #deliver = (): void => {
    this.#scheduled = false;
    const bytes = this.#buffer.subarray(0, this.#length);
    this.#length = 0;
    if (!this.destroyed) this.take(bytes);
  };
}
