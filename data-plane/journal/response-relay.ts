/**
 * Relays a response of several messages to the caller of a journaled write: the application may send as much as the
 * caller reads.
 */
import type { Field } from "../../core/wire/journal/fields.js";
import type { Stream } from "../http2/stream.js";
import type { Call } from "../proxy/forward/call.js";

export class ResponseRelay {
  readonly #call: Pick<Call, "beginReply" | "sendReply">;
  #stream: Stream | undefined;
  /** Bytes that were reported to the application as read before the caller had them. */
  #ahead = 0;

  constructor(call: Pick<Call, "beginReply" | "sendReply">) {
    this.#call = call;
  }

  /**
   * Sends the head and the messages that have arrived, which were reported to `stream` as read. Returns false if it is
   * too late for that.
   */
  begin(head: readonly Field[], framed: Uint8Array, stream: Stream): boolean {
    if (!this.#call.beginReply(head)) return false;
    this.#stream = stream;
    this.#ahead = framed.length;
    if (framed.length > 0) this.send(framed);
    return true;
  }

  send(framed: Uint8Array): void {
    this.consumed(this.#call.sendReply(framed));
  }

  /** Notes that the caller has read this many bytes more. */
  consumed(bytes: number): void {
    const again = Math.min(this.#ahead, bytes);
    this.#ahead -= again;
    if (bytes > again && this.#stream?.closed === false) this.#stream.consumed(bytes - again);
  }
}
