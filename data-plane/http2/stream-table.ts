import type { Stream } from "./stream.js";

const bucketCount = 256;
/**
 * For at least this many closed streams the table remembers how they ended, because frames for them may be on their
 * way.
 */
const rememberedMin = 1024;

export const closedHow = { unknown: 0, ended: 1, resetByUs: 2, resetByPeer: 3 } as const;

/** The buckets of all tables that never had a stream. */
const noStreams: Array<Stream | null> = new Array<Stream | null>(bucketCount).fill(null);

/** The streams of a connection by id, and how the most recent closed ones ended. */
export class StreamTable {
  #buckets = noStreams;
  /** Streams in the table. */
  count = 0;
  /** Streams that count towards the limit of open streams. */
  slots = 0;
  /** Indexed by the low bits of the id. Ids are consecutive, so each recent one has its own place. */
  #closedIds: Int32Array | null = null;
  #closedHow: Uint8Array | null = null;
  readonly #closedMask: number;

  /** `streamsMax`: how many streams may be open at once. The table remembers twice as many closed ones. */
  constructor(streamsMax: number) {
    const wanted = Math.max(rememberedMin, Math.min(2 * streamsMax, 8 * rememberedMin));
    this.#closedMask = 2 ** Math.ceil(Math.log2(wanted)) - 1;
  }

  find(id: number): Stream | null {
    let stream = this.#buckets[(id >>> 1) & (bucketCount - 1)] as Stream | null;
    while (stream !== null && stream.id !== id) stream = stream.next;
    return stream;
  }

  add(stream: Stream): void {
    if (this.#buckets === noStreams) this.#buckets = noStreams.slice();
    const bucket = (stream.id >>> 1) & (bucketCount - 1);
    stream.next = this.#buckets[bucket] as Stream | null;
    this.#buckets[bucket] = stream;
    this.count++;
    this.slots++;
  }

  /** Removes a stream and remembers how it ended. */
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

  /** Frees the slot of a stream that has ended, unless it is kept. */
  freeSlot(stream: Stream): void {
    if (!stream.closed || !stream.holdsSlot || stream.keepSlot) return;
    stream.holdsSlot = false;
    this.slots--;
  }

  remember(id: number, how: number): void {
    const size = this.#closedMask + 1;
    this.#closedIds ??= new Int32Array(size);
    this.#closedHow ??= new Uint8Array(size);
    const place = (id >>> 1) & this.#closedMask;
    this.#closedIds[place] = id;
    this.#closedHow[place] = how;
  }

  /** Returns how the stream ended (one of `closedHow`), or `unknown` if that is no longer remembered. */
  howClosed(id: number): number {
    const place = (id >>> 1) & this.#closedMask;
    return this.#closedIds?.[place] === id ? (this.#closedHow?.[place] ?? closedHow.unknown) : closedHow.unknown;
  }

  /** Returns a list of the open streams. It allocates: not for the hot path. */
  all(): Stream[] {
    const list: Stream[] = [];
    for (const head of this.#buckets) for (let stream = head; stream !== null; stream = stream.next) list.push(stream);
    return list;
  }
}
