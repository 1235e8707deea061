import type { Socket } from "node:net";
import { MemorySocket } from "../../data-plane/warm/memory-socket.js";

/** Who handles bytes that arrive. Each has a function of its own, so that profiles tell them apart. */
export const ends = ["client", "outbound", "inbound", "server"] as const;
export type End = (typeof ends)[number];

/** The time that reading took in microseconds of wall-clock time, by reader and sender: "inbound from server". */
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

/** An in-memory socket that measures how long its owner takes to read what arrives. */
export class MeteredSocket extends MemorySocket {
  readonly #end: End;
  readonly #label: string;
  readonly #meter: Meter;

  private constructor(end: End, from: End, meter: Meter) {
    super();
    this.#end = end;
    this.#label = `${end} from ${from}`;
    this.#meter = meter;
  }

  /** Returns two sockets that are connected to each other, at `a` and at `b`. */
  static between(a: End, b: End, meter: Meter): readonly [Socket, Socket] {
    return MemorySocket.connect(new MeteredSocket(a, b, meter), new MeteredSocket(b, a, meter));
  }

  protected override take(bytes: Buffer): void {
    const startMs = performance.now();
    takers[this.#end](() => super.take(bytes));
    this.#meter.set(this.#label, (this.#meter.get(this.#label) ?? 0) + (performance.now() - startMs) * 1000);
  }
}
