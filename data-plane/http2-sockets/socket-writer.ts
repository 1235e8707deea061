import type { Socket } from "node:net";

/** Told at once, or later, that everything is written; the chunks must stay as they are until then. */
export type Written = (error?: Error | null) => void;

/** What Node's streams say of bytes that are not text; its types do not have the word. */
const bytesEncoding = "buffer" as BufferEncoding;

/**
 * Writes `chunks` in turn. One write at a time: `written` must have been called before the next. Goes past the queue
 * of the socket's stream, which costs more than a small write itself: this is the call that the queue would make.
 */
export function writeSocket(socket: Socket, chunks: readonly Buffer[], written: Written): void {
  const only = chunks[0];
  if (only !== undefined && chunks.length === 1) socket._write(only, bytesEncoding, written);
  else if (socket._writev === undefined) socket.write(Buffer.concat(chunks), written);
  else socket._writev(gather(chunks), written);
}

interface Gathered extends Array<{ chunk: Buffer; encoding: BufferEncoding }> {
  /** A word between Node's streams and sockets: no text is among them. */
  allBuffers?: boolean;
}

function gather(chunks: readonly Buffer[]): Gathered {
  const all: Gathered = chunks.map((chunk) => ({ chunk, encoding: bytesEncoding }));
  all.allBuffers = true;
  return all;
}
