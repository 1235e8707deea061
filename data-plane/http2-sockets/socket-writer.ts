import type { Socket } from "node:net";

/** Called, at once or later, when everything is written; the chunks must stay unchanged until then. */
export type Written = (error?: Error | null) => void;

/** The value by which Node's streams mark bytes that are no text; its types lack it. */
const bytesEncoding = "buffer" as BufferEncoding;

/**
 * Writes `chunks` in order. Only one write may run at a time: `written` must have been called before the next. It
 * bypasses the queue of the socket's stream, which costs more than a small write, and makes the call that the queue
 * would make.
 */
export function writeSocket(socket: Socket, chunks: readonly Buffer[], written: Written): void {
  const only = chunks[0];
  if (only !== undefined && chunks.length === 1) socket._write(only, bytesEncoding, written);
  else if (socket._writev === undefined) socket.write(Buffer.concat(chunks), written);
  else socket._writev(gather(chunks), written);
}

interface Gathered extends Array<{ chunk: Buffer; encoding: BufferEncoding }> {
  /** A private mark between Node's streams and sockets: no chunk is text. */
  allBuffers?: boolean;
}

function gather(chunks: readonly Buffer[]): Gathered {
  const all: Gathered = chunks.map((chunk) => ({ chunk, encoding: bytesEncoding }));
  all.allBuffers = true;
  return all;
}
