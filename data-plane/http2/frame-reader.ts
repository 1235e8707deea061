import { clientPreface, frameBytesMax, frameFlag, frameHeaderBytes, frameType } from "./protocol.js";

/** Receives the frames that the reader finds. Slices are valid only during the call. */
export interface FrameReceiver {
  /** Whether the reader must stop. */
  readonly dead: boolean;
  onPrefaceWrong(): void;
  onPreface(): void;
  /** A frame is longer than `frameBytesMax`. */
  onFrameTooLong(type: number): void;
  /** Called for each frame header as soon as it is complete. Returns false if the connection failed. */
  onFrameHeader(type: number, flags: number, streamId: number, length: number): boolean;
  /** Called for each complete frame other than DATA. The payload is `bytes[start, end)`, padding included. */
  onFrame(type: number, flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void;
  /**
   * Called at the start of a DATA frame. `length` counts for flow control; `padding` of it is the padding and its
   * length byte.
   */
  onDataFrame(flags: number, streamId: number, length: number, padding: number): void;
  /** Called for each part of a DATA frame's bytes, at least once per frame. `last`: the frame has no more bytes. */
  onDataBytes(bytes: Uint8Array, start: number, end: number, last: boolean): void;
  onPaddingTooLong(): void;
}

const reading = { preface: 0, header: 1, payload: 2, padLength: 3, data: 4, padding: 5 } as const;

/**
 * Cuts bytes into frames, however the bytes are split. DATA is passed on as it arrives. Other frames are copied only if
 * they arrive in several pieces.
 */
export class FrameReader {
  readonly #receiver: FrameReceiver;
  #state: number;
  /** The part of a preface, frame header or payload that has arrived so far. */
  #held: Uint8Array;
  #heldLength = 0;
  #length = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  #dataLeft = 0;
  #paddingLeft = 0;

  constructor(receiver: FrameReceiver, expectPreface: boolean) {
    this.#receiver = receiver;
    this.#state = expectPreface ? reading.preface : reading.header;
    this.#held = new Uint8Array(64);
  }

  /** Reads `chunk[0, end)`. */
  read(chunk: Uint8Array, end = chunk.length): void {
    const receiver = this.#receiver;
    let at = 0;
    while (!receiver.dead) {
      switch (this.#state) {
        case reading.header: {
          if (this.#heldLength === 0 && end - at >= frameHeaderBytes) {
            this.#parseHeader(chunk, at);
            at += frameHeaderBytes;
            break;
          }
          if (at === end) return;
          at = this.#hold(chunk, at, end, frameHeaderBytes);
          if (this.#heldLength < frameHeaderBytes) return;
          this.#heldLength = 0;
          this.#parseHeader(this.#held, 0);
          break;
        }
        case reading.payload: {
          const length = this.#length;
          let bytes = chunk;
          let start = at;
          if (this.#heldLength === 0 && end - at >= length) at += length;
          else {
            if (at === end) return;
            at = this.#hold(chunk, at, end, length);
            if (this.#heldLength < length) return;
            bytes = this.#held;
            start = 0;
          }
          this.#heldLength = 0;
          this.#state = reading.header;
          receiver.onFrame(this.#type, this.#flags, this.#streamId, bytes, start, start + length);
          break;
        }
        case reading.data: {
          if (at === end && this.#dataLeft > 0) return;
          const take = Math.min(this.#dataLeft, end - at);
          this.#dataLeft -= take;
          const last = this.#dataLeft === 0;
          if (last) this.#state = this.#paddingLeft > 0 ? reading.padding : reading.header;
          at += take;
          receiver.onDataBytes(chunk, at - take, at, last);
          break;
        }
        case reading.padLength: {
          if (at === end) return;
          const padding = chunk[at++] as number;
          if (padding >= this.#length) {
            receiver.onPaddingTooLong();
            return;
          }
          this.#startData(padding + 1);
          this.#paddingLeft = padding;
          break;
        }
        case reading.padding: {
          if (at === end) return;
          const take = Math.min(this.#paddingLeft, end - at);
          at += take;
          this.#paddingLeft -= take;
          if (this.#paddingLeft === 0) this.#state = reading.header;
          break;
        }
        default: {
          if (at === end) return;
          at = this.#readPreface(chunk, at, end);
          if (this.#state === reading.preface) return;
        }
      }
    }
  }

  /** Compares the preface byte by byte, and leaves the state `preface` only once all of it has arrived and is right. */
  #readPreface(chunk: Uint8Array, at: number, end: number): number {
    const from = this.#heldLength;
    const stop = this.#hold(chunk, at, end, clientPreface.length);
    for (let i = from; i < this.#heldLength; i++) {
      if (this.#held[i] !== clientPreface.charCodeAt(i)) {
        this.#receiver.onPrefaceWrong();
        return stop;
      }
    }
    if (this.#heldLength < clientPreface.length) return stop;
    this.#heldLength = 0;
    this.#state = reading.header;
    this.#receiver.onPreface();
    return stop;
  }

  /** Copies bytes until `wanted` bytes are held, and returns where it stopped reading. */
  #hold(chunk: Uint8Array, at: number, end: number, wanted: number): number {
    const take = Math.min(wanted - this.#heldLength, end - at);
    const needed = this.#heldLength + take;
    if (needed > this.#held.length) {
      const larger = new Uint8Array(Math.min(frameBytesMax, Math.max(needed, this.#held.length * 2)));
      larger.set(this.#held.subarray(0, this.#heldLength));
      this.#held = larger;
    }
    this.#held.set(chunk.subarray(at, at + take), this.#heldLength);
    this.#heldLength = needed;
    return at + take;
  }

  #parseHeader(bytes: Uint8Array, at: number): void {
    const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    const type = bytes[at + 3] as number;
    const flags = bytes[at + 4] as number;
    const high = (bytes[at + 5] as number) & 0x7f;
    const streamId =
      ((high << 24) |
        ((bytes[at + 6] as number) << 16) |
        ((bytes[at + 7] as number) << 8) |
        (bytes[at + 8] as number)) >>>
      0;
    if (length > frameBytesMax) {
      this.#receiver.onFrameTooLong(type);
      return;
    }
    if (!this.#receiver.onFrameHeader(type, flags, streamId, length)) return;
    this.#length = length;
    this.#type = type;
    this.#flags = flags;
    this.#streamId = streamId;
    if (type !== frameType.data) {
      this.#state = reading.payload;
      return;
    }
    this.#paddingLeft = 0;
    if ((flags & frameFlag.padded) === 0) this.#startData(0);
    else if (length === 0) this.#receiver.onPaddingTooLong();
    else this.#state = reading.padLength;
  }

  #startData(padding: number): void {
    this.#dataLeft = this.#length - padding;
    this.#state = reading.data;
    this.#receiver.onDataFrame(this.#flags, this.#streamId, this.#length, padding);
  }
}

/** Reads four bytes as an unsigned number. */
export function readWord(bytes: Uint8Array, at: number): number {
  const high = (bytes[at] as number) * 0x100_0000;
  return high + (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number));
}
