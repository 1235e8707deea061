import { MemoryBudget } from "./memory-budget.js";
import { frameBytesMax, frameFlag, frameHeaderBytes, frameType } from "./protocol.js";

const blockBytes = 32_768;
const blocksKept = 64;
/** Waiting DATA is kept in blocks of this size: a stream's window fills four. */
const waitingBlockBytes = 16_384;
const waitingBlocksKept = 256;
/** Less waiting DATA than this is kept in a block of about its own size. */
const waitingBlockFrom = 4096;
const waitingBytesMin = 256;

/** Up to this many bytes are copied one by one: a call into native code, and the view that it needs, cost more. */
export const shortCopyMax = 64;

/** A bounded pool of blocks for output, shared by the connections of a process. Blocks in use count in the budget. */
export class BlockPool {
  readonly budget: MemoryBudget;
  readonly #free: Buffer[] = [];
  readonly #freeWaiting: Buffer[] = [];

  constructor(budget = new MemoryBudget()) {
    this.budget = budget;
  }

  /** Returns a block of at least `length` bytes. */
  take(length: number): Buffer {
    const block =
      length > blockBytes ? Buffer.allocUnsafeSlow(length) : (this.#free.pop() ?? Buffer.allocUnsafeSlow(blockBytes));
    this.budget.take(block.length);
    return block;
  }

  give(block: Buffer): void {
    this.budget.give(block.length);
    if (block.length === blockBytes && this.#free.length < blocksKept) this.#free.push(block);
  }

  /**
   * Returns a block for `length` waiting bytes of DATA; it may have room for fewer or more. Blocks are pooled because
   * allocating one for each piece made V8 collect all garbage again and again: V8 counts the memory outside its heap.
   */
  takeWaiting(length: number): Buffer {
    const block =
      length < waitingBlockFrom
        ? Buffer.allocUnsafe(Math.max(length, waitingBytesMin))
        : (this.#freeWaiting.pop() ?? Buffer.allocUnsafeSlow(waitingBlockBytes));
    this.budget.take(block.length);
    return block;
  }

  giveWaiting(block: Buffer): void {
    this.budget.give(block.length);
    if (block.length === waitingBlockBytes && this.#freeWaiting.length < waitingBlocksKept)
      this.#freeWaiting.push(block);
  }
}

/** Frames that wait for the socket, gathered into few large blocks. */
export class Output {
  readonly #pool: BlockPool;
  readonly #full: Buffer[] = [];
  readonly #fullLength: number[] = [];
  readonly #lent: Buffer[] = [];
  block: Buffer;
  /** Where the next byte is written in `block`. */
  at = 0;
  /** Waiting bytes in `#full`. */
  #fullBytes = 0;
  /** Waiting frames that are neither HEADERS nor DATA. */
  controlFrames = 0;
  #holdsBlock = false;
  /** The last DATA frame: where it starts and ends in `block`, as long as nothing follows it. */
  #dataAt = 0;
  #dataEnd = -1;
  #dataStreamId = 0;
  /** How often output was taken. */
  batch = 0;

  constructor(pool: BlockPool) {
    this.#pool = pool;
    this.block = noBlock;
  }

  /** Whether more DATA of this stream would be joined to the last frame. */
  endsWith(streamId: number): boolean {
    return this.#dataEnd === this.at && this.#dataStreamId === streamId;
  }

  get size(): number {
    return this.#fullBytes + this.at;
  }

  /** Makes room for `length` bytes from `at` on in `block`. */
  reserve(length: number): void {
    if (this.at + length <= this.block.length) return;
    this.#closeBlock();
    this.block = this.#pool.take(length);
    this.#holdsBlock = true;
    this.at = 0;
  }

  #closeBlock(): void {
    if (!this.#holdsBlock) return;
    if (this.at > 0) {
      this.#full.push(this.block);
      this.#fullLength.push(this.at);
      this.#fullBytes += this.at;
    } else this.#pool.give(this.block);
    this.block = noBlock;
    this.#dataEnd = -1;
    this.#holdsBlock = false;
    this.at = 0;
  }

  /** Writes a frame header at `place` in the current block. */
  frameHeader(place: number, length: number, type: number, flags: number, streamId: number): void {
    const block = this.block;
    block[place] = length >>> 16;
    block[place + 1] = length >>> 8;
    block[place + 2] = length;
    block[place + 3] = type;
    block[place + 4] = flags;
    block[place + 5] = streamId >>> 24;
    block[place + 6] = streamId >>> 16;
    block[place + 7] = streamId >>> 8;
    block[place + 8] = streamId;
  }

  #control(length: number, type: number, flags: number, streamId: number): void {
    this.controlFrames++;
    this.reserve(frameHeaderBytes + length);
    this.frameHeader(this.at, length, type, flags, streamId);
    this.at += frameHeaderBytes;
  }

  #word(value: number): void {
    const { block, at } = this;
    block[at] = value >>> 24;
    block[at + 1] = value >>> 16;
    block[at + 2] = value >>> 8;
    block[at + 3] = value;
    this.at = at + 4;
  }

  /**
   * Writes DATA. It is joined to the previous frame if that belongs to the same stream: bytes that arrived in pieces
   * need not leave in pieces.
   */
  data(streamId: number, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    const length = end - start;
    const joined = this.at - this.#dataAt - frameHeaderBytes + length;
    if (
      this.#dataStreamId === streamId &&
      this.#dataEnd === this.at &&
      joined <= frameBytesMax &&
      this.at + length <= this.block.length
    ) {
      this.frameHeader(this.#dataAt, joined, frameType.data, endStream ? frameFlag.endStream : 0, streamId);
    } else {
      this.reserve(frameHeaderBytes + length);
      this.#dataAt = this.at;
      this.#dataStreamId = streamId;
      this.frameHeader(this.at, length, frameType.data, endStream ? frameFlag.endStream : 0, streamId);
      this.at += frameHeaderBytes;
    }
    const { at, block } = this;
    if (length <= shortCopyMax) {
      for (let i = 0; i < length; i++) block[at + i] = bytes[start + i] as number;
    } else if (start === 0 && end === bytes.length) block.set(bytes, at);
    else block.set(bytes.subarray(start, end), at);
    this.at = at + length;
    this.#dataEnd = endStream ? -1 : this.at;
  }

  /** Writes SETTINGS. `entries`: identifiers and values in turn. */
  settings(entries: readonly number[]): void {
    this.#control(entries.length * 3, frameType.settings, 0, 0);
    for (let i = 0; i < entries.length; i += 2) {
      this.block[this.at] = 0;
      this.block[this.at + 1] = entries[i] as number;
      this.at += 2;
      this.#word(entries[i + 1] as number);
    }
  }

  settingsAck(): void {
    this.#control(0, frameType.settings, frameFlag.ack, 0);
  }

  ping(flags: number, bytes: Uint8Array, start: number): void {
    this.#control(8, frameType.ping, flags, 0);
    for (let i = 0; i < 8; i++) this.block[this.at++] = bytes[start + i] as number;
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#control(4, frameType.windowUpdate, 0, streamId);
    this.#word(increment);
  }

  resetStream(streamId: number, code: number): void {
    this.#control(4, frameType.resetStream, 0, streamId);
    this.#word(code);
  }

  goaway(lastStreamId: number, code: number, reason: string): void {
    this.#control(8 + reason.length, frameType.goaway, 0, 0);
    this.#word(lastStreamId);
    this.#word(code);
    for (let i = 0; i < reason.length; i++) this.block[this.at++] = reason.charCodeAt(i);
  }

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.block.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** Returns the waiting output. The chunks stay unchanged until `recycle`. */
  take(): Buffer[] {
    this.batch++;
    if (this.#full.length === 0 && this.at > 0) return [this.#takeBlock()];
    this.#closeBlock();
    const chunks: Buffer[] = [];
    for (let i = 0; i < this.#full.length; i++) {
      const block = this.#full[i] as Buffer;
      this.#lent.push(block);
      chunks.push(block.subarray(0, this.#fullLength[i] as number));
    }
    this.#full.length = 0;
    this.#fullLength.length = 0;
    this.#fullBytes = 0;
    this.controlFrames = 0;
    return chunks;
  }

  /** The usual case: all waiting output is in one block. */
  #takeBlock(): Buffer {
    const { block, at } = this;
    this.#lent.push(block);
    this.block = noBlock;
    this.#dataEnd = -1;
    this.#holdsBlock = false;
    this.at = 0;
    this.controlFrames = 0;
    return block.subarray(0, at);
  }

  /** Returns the taken blocks to the pool; everything in them has been written. */
  recycle(): void {
    for (let block = this.#lent.pop(); block !== undefined; block = this.#lent.pop()) this.#pool.give(block);
  }

  /**
   * Forgets all output because the socket is closed. The taken blocks are not reused, since the system may still read
   * them.
   */
  abandon(): void {
    let bytes = this.#holdsBlock ? this.block.length : 0;
    for (const block of this.#full) bytes += block.length;
    for (const block of this.#lent) bytes += block.length;
    this.#pool.budget.give(bytes);
    this.#full.length = this.#fullLength.length = this.#lent.length = 0;
    this.#fullBytes = this.at = 0;
    this.block = noBlock;
    this.#holdsBlock = false;
    this.#dataEnd = -1;
  }
}

const noBlock = Buffer.alloc(0);
