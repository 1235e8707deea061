/**
 * Passes listening TCP sockets between two processes that are not parent and child, over a Unix socket (SCM_RIGHTS).
 * Node does that for `child_process` alone; its pipes can do it for any socket, but only internal names reach them
 * (decision 0041). `canPassHandles` says whether this Node still has them.
 */
import { type Server, Socket } from "node:net";
import { StringDecoder } from "node:string_decoder";
import { AshlarError } from "../core/errors.js";

interface InternalPipe {
  pendingHandle?: object | null | undefined;
  open(fd: number): number;
  connect(request: object, path: string): number;
  writeUtf8String(request: object, text: string, handle: object): number;
  close(): void;
}

interface Internals {
  readonly newPipe: () => InternalPipe;
  readonly newConnect: () => { oncomplete?: (status: number) => void };
  readonly newWrite: () => { oncomplete?: (status: number) => void };
}

/** The longest line of either side. A longer one ends the connection. */
const lineCharactersMax = 64 * 1024;

function findInternals(): Internals | undefined {
  try {
    const { binding } = process as unknown as { binding(name: string): Record<string, unknown> };
    const pipes = binding.call(process, "pipe_wrap");
    const streams = binding.call(process, "stream_wrap");
    const Pipe = pipes.Pipe as new (kind: number) => InternalPipe;
    const ConnectRequest = pipes.PipeConnectWrap as new () => object;
    const WriteRequest = streams.WriteWrap as new () => object;
    const kind = (pipes.constants as { readonly IPC: number }).IPC;
    const { open, connect, writeUtf8String } = Pipe.prototype as Partial<InternalPipe>;
    const isComplete = [open, connect, writeUtf8String, ConnectRequest, WriteRequest].every(
      (one) => typeof one === "function",
    );
    if (!isComplete || typeof kind !== "number") return undefined;
    return {
      newPipe: () => new Pipe(kind),
      newConnect: () => new ConnectRequest(),
      newWrite: () => new WriteRequest(),
    };
  } catch {
    return undefined;
  }
}

/** Returns whether this Node can pass listening sockets. */
export function canPassHandles(): boolean {
  return findInternals() !== undefined;
}

/** Receives a line of text, with the socket that came with it, if any. */
export type LineListener = (line: string, handle: object | undefined) => void;

/** A connection that carries lines and listening sockets. */
export class HandlePipe {
  readonly #pipe: InternalPipe;
  readonly #socket: Socket;
  readonly #internals: Internals;
  /** The accepted socket. It is only referenced, never closed: its descriptor belongs to the pipe, which closes it. */
  readonly #accepted: Socket | undefined;
  #rest = "";

  constructor(pipe: InternalPipe, internals: Internals, accepted: Socket | undefined) {
    this.#pipe = pipe;
    this.#internals = internals;
    this.#accepted = accepted;
    const options = { handle: pipe, readable: true, writable: true };
    this.#socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
    this.#socket.on("error", () => this.close());
  }

  /** Calls `onLine` for each line and `onEnd` once, when the other side is gone or this side has closed. */
  start(onLine: LineListener, onEnd: () => void): void {
    const decoder = new StringDecoder("utf8");
    this.#socket.on("data", (bytes: Buffer) => {
      const handle = this.#pipe.pendingHandle ?? undefined;
      this.#pipe.pendingHandle = undefined;
      const lines = (this.#rest + decoder.write(bytes)).split("\n");
      this.#rest = lines.pop() ?? "";
      if (this.#rest.length > lineCharactersMax) return this.close();
      // The sender waits for the answer to each line before it sends the next, so a socket belongs to the line that it
      // came with.
      for (const line of lines) onLine(line, handle);
    });
    this.#socket.once("end", () => this.close());
    this.#socket.once("close", onEnd);
  }

  /** Sends a line, with the socket at which `server` listens. Fails with `unavailable`. */
  send(line: string, server?: Server): void {
    if (server === undefined) {
      this.#socket.write(`${line}\n`);
      return;
    }
    const { _handle: handle } = server as unknown as { readonly _handle: object | null };
    if (handle === null) throw new AshlarError("unavailable", "the listener is closed");
    const code = this.#pipe.writeUtf8String(this.#internals.newWrite(), `${line}\n`, handle);
    if (code !== 0) throw new AshlarError("unavailable", `a listening socket cannot be passed (error ${code})`);
  }

  close(): void {
    this.#accepted?.unref();
    this.#socket.destroy();
  }
}

/** Makes a handle pipe of a connection that was accepted with `pauseOnConnect`. Fails with `unavailable`. */
export function acceptHandlePipe(accepted: Socket): HandlePipe {
  const internals = mustHaveInternals();
  const { _handle: handle } = accepted as unknown as { readonly _handle: { readonly fd?: number } | null };
  const pipe = internals.newPipe();
  if (typeof handle?.fd !== "number" || handle.fd < 0 || pipe.open(handle.fd) !== 0) {
    throw new AshlarError("unavailable", "the connection cannot pass listening sockets");
  }
  return new HandlePipe(pipe, internals, accepted);
}

/** Connects to the Unix socket at `path`. Fails with `unavailable` if nobody listens there. */
export function connectHandlePipe(path: string): Promise<HandlePipe> {
  const internals = mustHaveInternals();
  return new Promise((resolve, reject) => {
    const pipe = internals.newPipe();
    const request = internals.newConnect();
    const fail = (code: number): void => {
      pipe.close();
      reject(new AshlarError("unavailable", `nobody listens on ${path} (error ${code})`));
    };
    request.oncomplete = (status) => {
      if (status !== 0) fail(status);
      else resolve(new HandlePipe(pipe, internals, undefined));
    };
    const code = pipe.connect(request, path);
    if (typeof code === "number" && code !== 0) fail(code);
  });
}

function mustHaveInternals(): Internals {
  const internals = findInternals();
  if (internals === undefined) {
    throw new AshlarError("unavailable", `Node ${process.version} cannot pass listening sockets to another process`);
  }
  return internals;
}
