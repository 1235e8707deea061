/** The framing of messages in gRPC, gRPC-Web and Connect: a byte of flags, a length of four bytes, the message. */

const frameHeadBytes = 5;
/** The flag of a compressed message. */
export const compressed = 1;

/** Returns a message in its frame. */
export function frame(flags: number, message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(frameHeadBytes + message.length);
  framed[0] = flags;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, frameHeadBytes);
  return framed;
}

/** Finds the beginnings of frames in bytes that are passed on. */
export class FrameScanner {
  #seen = 0;
  #length = 0;
  #left = 0;

  /** Whether the bytes so far end within a frame. */
  get isWithin(): boolean {
    return this.#seen > 0 || this.#left > 0;
  }

  /** Reads `bytes[start, end)`. Returns false if a frame has flags that are not in `allowed`, a mask. */
  scan(bytes: Uint8Array, start: number, end: number, allowed: number): boolean {
    let at = start;
    while (at < end) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, end - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      const byte = bytes[at++] as number;
      if (this.#seen === 0 && (byte & ~allowed) !== 0) return false;
      if (this.#seen > 0) this.#length = this.#length * 256 + byte;
      if (++this.#seen < frameHeadBytes) continue;
      this.#left = this.#length;
      this.#seen = this.#length = 0;
    }
    return true;
  }
}

/** A complete message. */
export interface Framed {
  readonly flags: number;
  readonly message: Buffer;
}

/** Collects bytes until messages are complete. */
export class FrameCollector {
  readonly #bytesMax: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** `bytesMax`: the most bytes of one message. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The number of bytes that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds a copy of `bytes[start, end)`. Returns the messages that are now complete, or undefined if one is too long.
   */
  add(bytes: Uint8Array, start: number, end: number): readonly Framed[] | undefined {
    this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
    this.#bytes += end - start;
    const found: Framed[] = [];
    for (;;) {
      if (this.#bytes < frameHeadBytes) return found;
      const length = this.#head().readUInt32BE(1);
      if (length > this.#bytesMax) return undefined;
      if (this.#bytes < frameHeadBytes + length) return found;
      const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      found.push({ flags: all[0] as number, message: all.subarray(frameHeadBytes, frameHeadBytes + length) });
      const rest = all.subarray(frameHeadBytes + length);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#bytes = rest.length;
    }
  }

  /** Returns the first chunk, which has at least the head of a frame then. */
  #head(): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= frameHeadBytes) return first;
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}
