/** A response of several messages on its way to the caller of a journaled write: what the caller takes, the application may send. */
import type { Field } from "../../core/wire/journal/fields.js";
import type { Stream } from "../http2/stream.js";
import type { Call } from "../proxy/forward/call.js";

export class ResponseRelay {
  readonly #call: Pick<Call, "beginReply" | "sendReply">;
  #stream: Stream | undefined;
  /** Bytes that the application was told were taken before the caller had them. */
  #ahead = 0;

  constructor(call: Pick<Call, "beginReply" | "sendReply">) {
    this.#call = call;
  }

  /** Sends the head and what is there of the messages, which `stream` was told were taken. False: it is too late for that. */
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

  /** The caller has taken so many bytes more. */
  consumed(bytes: number): void {
    const again = Math.min(this.#ahead, bytes);
    this.#ahead -= again;
    if (bytes > again && this.#stream?.closed === false) this.#stream.consumed(bytes - again);
  }
}
