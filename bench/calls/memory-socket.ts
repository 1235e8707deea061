import { EventEmitter } from "node:events";
import type { Socket } from "node:net";

/** Whose turn it is when bytes arrive. Each has a function of its own, so that profiles tell them apart. */
export const ends = ["client", "outbound", "inbound", "server"] as const;
export type End = (typeof ends)[number];

/** Microseconds by the clock that bytes took to be read, by who read them and who sent them: "inbound from server". */
export type Meter = Map<string, number>;

const takers: Readonly<Record<End, (take: () => void) => void>> = {
  client: function atClient(take) {
    take();
  },
  outbound: function atOutbound(take) {
    take();
  },
  inbound: function atInbound(take) {
    take();
  },
  server: function atServer(take) {
    take();
  },
};

/** As much of a socket as the engine uses, without a kernel: what one writes, the other is given in the next turn. */
export class MemorySocket extends EventEmitter {
  readonly alpnProtocol = "h2";
  readonly remoteAddress = "127.0.0.1";
  destroyed = false;
  readonly #end: End;
  readonly #label: string;
  readonly #meter: Meter;
  private peer: MemorySocket | undefined;
  #buffer = Buffer.allocUnsafeSlow(65_536);
  #length = 0;
  #scheduled = false;

  private constructor(end: End, from: End, meter: Meter) {
    super();
    this.#end = end;
    this.#label = `${end} from ${from}`;
    this.#meter = meter;
  }

  /** Two sockets that are connected to each other, at `a` and at `b`. */
  static pair(a: End, b: End, meter: Meter): readonly [Socket, Socket] {
    const one = new MemorySocket(a, b, meter);
    const other = new MemorySocket(b, a, meter);
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
    this.#close();
    return this;
  }

  destroy(): this {
    this.#close();
    return this;
  }

  #close(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    setImmediate(() => this.emit("close"));
    const peer = this.peer;
    if (peer !== undefined && !peer.destroyed) setImmediate(() => peer.emit("end"));
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
    if (this.destroyed) return;
    const startMs = performance.now();
    takers[this.#end](this.#take);
    this.#meter.set(this.#label, (this.#meter.get(this.#label) ?? 0) + (performance.now() - startMs) * 1000);
  };

  readonly #take = (): void => {
    const bytes = this.#buffer.subarray(0, this.#length);
    this.#length = 0;
    this.emit("data", bytes);
  };
}
