/** One open stream of server-sent events. It keeps no queue: a slow reader misses events, or is dropped. */
import type { ServerResponse } from "node:http";
import { onAbort } from "../../runtime/abort.js";

/** The most bytes that a connection may leave unread before it is dropped. */
const unreadBytesMax = 4 * 1024 * 1024;
const behindBytesMin = 256 * 1024;

export class EventStream {
  readonly #response: ServerResponse;
  readonly #gone = new AbortController();
  #unreadBefore = 0;

  constructor(response: ServerResponse, ended: AbortSignal) {
    this.#response = response;
    const off = onAbort(ended, () => this.end("ended", { why: "the session has ended" }));
    response.once("close", () => {
      off();
      this.#gone.abort();
    });
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" });
    response.write("retry: 2000\n\n");
  }

  /** Aborts when the reader is gone, was dropped, or the stream was ended. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  get unreadBytes(): number {
    return this.#response.writableLength;
  }

  /** True if much of what was sent is still unread, so that a further event would only wait. */
  get isBehind(): boolean {
    return this.#response.writableLength >= behindBytesMin;
  }

  /** Sends an event with `data`, which is JSON on one line. */
  send(event: string, data: string): void {
    if (this.#gone.signal.aborted) return;
    this.#response.write(`event: ${event}\ndata: ${data}\n\n`);
    if (this.#response.writableLength > unreadBytesMax) this.drop();
  }

  /** Resolves when everything that was sent has been read, or the stream has ended. */
  async taken(): Promise<void> {
    if (!this.#response.writableNeedDrain || this.#gone.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const off = onAbort(this.#gone.signal, resolve);
      this.#response.once("drain", () => {
        off();
        resolve();
      });
    });
  }

  /**
   * Sends a comment that keeps the connection from looking dead, and drops a reader that has read nothing since the
   * last call. Must be called at intervals.
   */
  beat(): void {
    const unread = this.#response.writableLength;
    if (unread > 0 && unread >= this.#unreadBefore && this.#unreadBefore > 0) {
      this.drop();
      return;
    }
    this.#response.write(":\n\n");
    this.#unreadBefore = unread === 0 ? 0 : this.#response.writableLength;
  }

  /** Sends a last event and ends the stream. */
  end(event: string, data: object): void {
    this.send(event, JSON.stringify(data));
    this.#gone.abort();
    this.#response.end();
  }

  drop(): void {
    this.#gone.abort();
    this.#response.destroy();
  }
}
