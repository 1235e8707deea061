import { STATUS_CODES } from "node:http";
import { PeerSettings } from "../../http2/settings.js";
import type { Peer } from "../../proxy/forward/listener.js";
import { Exchange } from "../web/exchange.js";
import type { Header } from "../web/header.js";
import type { Http1Head } from "./request-head.js";

/** The interface of the connection for its requests. */
export interface Http1Wire {
  readonly waitingBytes: number;
  /** Whether the connection ends with this answer. */
  readonly isLast: boolean;
  write(bytes: Buffer): void;
  /** Notes that the answer is complete; the request may be too. */
  answered(): void;
  /** Notes that bytes of the body were consumed. */
  consumed(): void;
  destroy(): void;
}

const settings = new PeerSettings();
const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

/** One request on an HTTP/1.1 connection, and its answer. */
export class Http1Exchange extends Exchange {
  readonly #connection: Http1Wire;
  /** Bytes of the body that were passed on and are not consumed. */
  unconsumed = 0;
  /** Whether the whole answer was written. */
  hasEnded = false;
  #isChunked = false;

  constructor(connection: Http1Wire, { method, target, host, headers }: Http1Head, peer: Peer) {
    const mark = target.indexOf("?");
    const [path, query] = mark < 0 ? [target, ""] : [target.slice(0, mark), target.slice(mark + 1)];
    super({ method, path, query, authority: host, headers, isHttp1: true }, peer);
    this.#connection = connection;
  }

  override get settings(): PeerSettings {
    return settings;
  }

  override get waitingBytes(): number {
    return this.#connection.waitingBytes;
  }

  protected override writeHead(status: number, headers: readonly Header[], bodyBytes: number): void {
    this.#isChunked = bodyBytes < 0;
    const about = [
      ...headers.map(([name, value]) => `${name}: ${value}`),
      ...(this.#isChunked ? ["transfer-encoding: chunked"] : status === 204 ? [] : [`content-length: ${bodyBytes}`]),
      ...(this.#connection.isLast ? ["connection: close"] : []),
    ];
    const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`, ...about];
    if (lines.some((line) => /[\r\n]/.test(line))) throw new Error("a field of a response has a line break");
    this.hasEnded = bodyBytes === 0;
    this.#connection.write(latin1(`${lines.join("\r\n")}\r\n\r\n`));
    if (this.hasEnded) this.#connection.answered();
  }

  override send(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    if (this.hasEnded) return;
    const parts: Uint8Array[] = [];
    if (end > start)
      parts.push(
        ...(this.#isChunked
          ? [latin1(`${(end - start).toString(16)}\r\n`), bytes.subarray(start, end), latin1("\r\n")]
          : [bytes.subarray(start, end)]),
      );
    if (ended && this.#isChunked) parts.push(latin1("0\r\n\r\n"));
    this.hasEnded = ended;
    this.#connection.write(Buffer.concat(parts));
    if (ended) this.#connection.answered();
  }

  override consumed(bytes: number): void {
    this.unconsumed -= bytes;
    this.#connection.consumed();
  }

  override abort(): void {
    this.#connection.destroy();
  }
}
