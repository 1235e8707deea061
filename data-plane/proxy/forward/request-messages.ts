import { shortCopyMax } from "../../http2/output.js";
import type { Stream } from "../../http2/stream.js";
import { giveBlock, takeBlock } from "./small-blocks.js";

/** The most bytes kept for a retry; a longer request is sent once. */
const replayBytesMax = 64 * 1024;

export const noBytes = Buffer.alloc(0);

/**
 * The messages of one request on their way upstream. Keeps them while they may have to be sent, or sent again; they
 * count in the memory budget of the caller's connection meanwhile. The caller may send as many bytes as an upstream
 * took.
 */
export class RequestMessages {
  /** The caller's stream. */
  readonly #inbound: Stream;
  /** Whether the caller has sent the whole request. */
  ended: boolean;
  /** Whether the messages are kept. False: they are too long to be kept, or nobody needs them any more. */
  #isKept = true;
  /** The kept bytes are `#block[0, #bytes)`. */
  #block: Buffer = noBytes;
  #bytes = 0;
  /** The part of `#bytes` that has been sent already. */
  #replayBytes = 0;
  /** Bytes that are sent a second time: the caller was already told that they were taken. */
  #resent = 0;

  constructor(inbound: Stream, ended: boolean) {
    this.#inbound = inbound;
    this.ended = ended;
  }

  /** Whether the whole request so far can be sent to another upstream. */
  get isKept(): boolean {
    return this.#isKept;
  }

  /** A copy of the kept bytes, and whether they are the whole request. */
  get held(): { readonly bytes: Uint8Array; readonly ended: boolean } {
    return { bytes: Uint8Array.prototype.slice.call(this.#block, 0, this.#bytes), ended: this.ended };
  }

  /** The kept bytes themselves, valid only now. */
  get peeked(): Buffer {
    return this.#block.subarray(0, this.#bytes);
  }

  /** Takes the kept bytes away. Whoever holds the call sends them in another way. */
  drain(): Buffer {
    if (this.#bytes === 0) return noBytes;
    const taken = this.copy();
    this.#inbound.connection.budget.give(this.#bytes);
    this.#bytes = 0;
    giveBlock(this.#block);
    this.#block = noBytes;
    return taken;
  }

  /** Whether the request has ended and nothing of it is left to send on a new attempt. */
  get isEmpty(): boolean {
    return this.ended && this.#bytes === 0;
  }

  /** Sends the kept bytes on a new attempt whose header block was sent. */
  sendKept(upstream: Stream): void {
    if (this.#bytes === 0) return;
    this.#resent = Math.max(0, this.#bytes - this.#inbound.unconsumed);
    this.taken(upstream.sendData(this.#block, 0, this.#bytes, this.ended));
  }

  /** Sends the kept bytes on a second attempt. The caller's window still follows the first attempt alone. */
  sendBeside(upstream: Stream): void {
    if (this.#bytes > 0) upstream.sendData(this.#block, 0, this.#bytes, this.ended);
  }

  /** Makes `upstream` the current attempt. It was sent everything, and `waitingBytes` of that are not taken yet. */
  moveTo(upstream: Stream): void {
    const ahead = this.#inbound.unconsumed - upstream.waitingBytes;
    this.#resent = Math.max(0, -ahead);
    if (ahead > 0) this.#inbound.consumed(ahead);
  }

  /** Returns a copy of the kept bytes, which are the whole request so far if `isKept`. */
  copy(): Buffer {
    return Buffer.from(this.#block.subarray(0, this.#bytes));
  }

  /** Passes bytes that have just arrived to the current attempt. Keeps a copy if they may have to be sent again. */
  pass(upstream: Stream, bytes: Uint8Array, start: number, end: number): void {
    if (this.#isKept && !this.#keepSent(bytes, start, end)) this.forget();
    this.taken(upstream.sendData(bytes, start, end, this.ended));
  }

  /** Keeps bytes that wait for an attempt. Returns false if there is no room; the caller's window bounds them. */
  hold(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#isKept) return true;
    const { budget } = this.#inbound.connection;
    if (budget.isFull) return false;
    budget.take(end - start);
    this.#copy(bytes, start, end);
    return true;
  }

  /** Notes that the upstream has taken `bytes` of the request, so the caller may send as many more. */
  taken(bytes: number): void {
    const again = Math.min(this.#resent, bytes);
    this.#resent -= again;
    this.#inbound.consumed(bytes - again);
  }

  /** Releases the kept bytes. The request cannot be sent again after that. */
  forget(): void {
    if (!this.#isKept) return;
    this.#isKept = false;
    const { budget } = this.#inbound.connection;
    budget.giveReplay(this.#replayBytes);
    budget.give(this.#bytes - this.#replayBytes);
    this.#bytes = 0;
    giveBlock(this.#block);
    this.#block = noBytes;
  }

  /** Returns false if the request is too long to be kept, or room is short. */
  #keepSent(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.#bytes + length > replayBytesMax || !this.#inbound.connection.budget.takeReplay(length)) return false;
    this.#replayBytes += length;
    this.#copy(bytes, start, end);
    return true;
  }

  #copy(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length === 0) return;
    const to = this.#bytes + length;
    if (to > this.#block.length) this.#widen(to);
    const block = this.#block;
    const at = this.#bytes;
    if (length <= shortCopyMax) for (let i = 0; i < length; i++) block[at + i] = bytes[start + i] as number;
    else block.set(bytes.subarray(start, end), at);
    this.#bytes = to;
  }

  /** Grows the block to at least twice its length, so that many short messages are not copied again and again. */
  #widen(length: number): void {
    const before = this.#block;
    this.#block = takeBlock(Math.max(length, Math.min(2 * before.length, replayBytesMax)));
    if (this.#bytes > 0) this.#block.set(before.subarray(0, this.#bytes));
    giveBlock(before);
  }
}
