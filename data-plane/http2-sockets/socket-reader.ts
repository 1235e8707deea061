import type { Socket } from "node:net";

const bufferBytes = 65_536;
/**
 * The buffer into which every socket reads. It is used up before the next read, and so stays in the processor's cache.
 */
const shared = Buffer.allocUnsafeSlow(bufferBytes);

/** Takes `bytes[0, length)`, which are overwritten by the next read. */
export type TakeBytes = (bytes: Uint8Array, length: number) => void;

/** The part of a socket's handle that is used here. */
interface ReadingHandle {
  useUserBuffer(buffer: Uint8Array): void;
}

/**
 * Passes everything that `socket` receives to `take`. Node's own way allocates 64 KiB and a stream object for each
 * read. Its option `onread` does not, but exists only for connecting sockets and not for accepted ones. So the socket
 * is given what that option would have set, if that is there; otherwise it is read as a stream.
 */
export function readSocket(socket: Socket, take: TakeBytes): void {
  const early = takeEarly(socket);
  if (!takeOver(socket, take)) socket.on("data", (chunk: Buffer) => take(chunk, chunk.length));
  // Not in this turn: the caller is not ready.
  if (early.length > 0) {
    queueMicrotask(() => {
      for (const chunk of early) take(chunk, chunk.length);
    });
  }
  socket.resume();
}

/** Returns what arrived before anybody listened, which happens with TLS. */
function takeEarly(socket: Socket): Buffer[] {
  const early: Buffer[] = [];
  for (let chunk: unknown = socket.read(); Buffer.isBuffer(chunk); chunk = socket.read()) early.push(chunk);
  return early;
}

/** Returns false if this version of Node has other internals. */
function takeOver(socket: Socket, take: TakeBytes): boolean {
  const inner = socket as unknown as Record<symbol, unknown> & { readonly _handle?: unknown };
  const symbols = Object.getOwnPropertySymbols(socket);
  const find = (name: string) => symbols.find(({ description }) => description === name);
  const [buffer, callback, generator] = [find("kBuffer"), find("kBufferCb"), find("kBufferGen")];
  const handle = inner._handle;
  if (buffer === undefined || callback === undefined || generator === undefined || !isReading(handle)) return false;
  if (inner[buffer] !== null || inner[callback] !== null || inner[generator] !== null) return false;
  inner[buffer] = shared;
  inner[callback] = (length: number, bytes: Uint8Array): boolean => {
    take(bytes, length);
    return true;
  };
  handle.useUserBuffer(shared);
  return true;
}

function isReading(handle: unknown): handle is ReadingHandle {
  return typeof (handle as Partial<ReadingHandle> | null | undefined)?.useUserBuffer === "function";
}
