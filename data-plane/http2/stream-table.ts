import type { Stream } from "./stream.js";

const bucketCount = 256;
const remembered = 256;

export const closedHow = { unknown: 0, ended: 1, resetByUs: 2, resetByPeer: 3 } as const;

/** The streams of a connection by id, and how the last ones ended. */
export class StreamTable {
  readonly #buckets: Array<Stream | null> = new Array<Stream | null>(bucketCount).fill(null);
  /** Streams in the table. */
  count = 0;
  /** Streams that count against the limit. */
  slots = 0;
  readonly #closedIds = new Int32Array(remembered);
  readonly #closedHow = new Uint8Array(remembered);
  #closedAt = 0;

  find(id: number): Stream | null {
    let stream = this.#buckets[(id >>> 1) & (bucketCount - 1)] as Stream | null;
    while (stream !== null && stream.id !== id) stream = stream.next;
    return stream;
  }

  add(stream: Stream): void {
    const bucket = (stream.id >>> 1) & (bucketCount - 1);
    stream.next = this.#buckets[bucket] as Stream | null;
    this.#buckets[bucket] = stream;
    this.count++;
    this.slots++;
  }

  /** Takes a stream out and remembers how it ended. Its slot is freed unless its owner keeps it. */
  remove(stream: Stream, how: number): void {
    const bucket = (stream.id >>> 1) & (bucketCount - 1);
    let before = this.#buckets[bucket] as Stream | null;
    if (before === stream) this.#buckets[bucket] = stream.next;
    else {
      while (before !== null && before.next !== stream) before = before.next;
      if (before !== null) before.next = stream.next;
    }
    stream.next = null;
    stream.closed = true;
    this.count--;
    this.remember(stream.id, how);
  }

  freeSlot(stream: Stream): void {
    if (!stream.holdsSlot || stream.keepSlot) return;
    stream.holdsSlot = false;
    this.slots--;
  }

  remember(id: number, how: number): void {
    this.#closedIds[this.#closedAt] = id;
    this.#closedHow[this.#closedAt] = how;
    this.#closedAt = (this.#closedAt + 1) & (remembered - 1);
  }

  /** How the stream ended, if it is among the last that did. One of `closedHow`. */
  howClosed(id: number): number {
    for (let back = 1; back <= remembered; back++) {
      const place = (this.#closedAt - back) & (remembered - 1);
      if (this.#closedIds[place] === id) return this.#closedHow[place] as number;
    }
    return closedHow.unknown;
  }

  /** The streams as they are now; for rare work. */
  all(): Stream[] {
    const list: Stream[] = [];
    for (const head of this.#buckets) for (let stream = head; stream !== null; stream = stream.next) list.push(stream);
    return list;
  }
}
