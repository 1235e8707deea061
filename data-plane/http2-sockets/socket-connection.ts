import type { Socket } from "node:net";
import { Connection } from "../http2/connection.js";
import type { ConnectionHandler } from "../http2/connection-handler.js";
import type { FieldBlock } from "../http2/field-block.js";
import type { EngineLimits } from "../http2/limits.js";
import type { BlockPool } from "../http2/output.js";
import type { PreparedField } from "../http2/prepared-field.js";
import { errorCode } from "../http2/protocol.js";
import { type EngineCounters, refusal } from "../http2/refusals.js";
import type { Stream } from "../http2/stream.js";
import type { EngineLoop, LoopMember } from "./engine-loop.js";
import { readSocket } from "./socket-reader.js";
import { writeSocket } from "./socket-writer.js";

/** Milliseconds that the peer gets to read the GOAWAY after an error of the connection. */
const lingerMs = 1000;
/** Milliseconds after which a peer that sends and does not read is given up. */
const stuckMs = 60_000;

/** The owner of a connection. */
export interface ConnectionOwner {
  /** Servers: must set `stream.sink`. */
  onRequest(stream: Stream, fields: FieldBlock, endStream: boolean): void;
  /** Servers: answers a request whose header fields are too many or too long; without this it is reset. */
  onOversized?(stream: Stream): void;
  /** Servers: what ends an answer that the engine gives itself. */
  lastFields?(): readonly PreparedField[];
  /** Clients: the peer takes more streams than before, or no new ones (`connection.canOpen` tells). */
  onCapacity(connection: Connection): void;
  /** The socket is closed; every stream has been told. */
  onClosed(connection: SocketConnection): void;
}

export interface SocketConnectionDeps {
  readonly loop: EngineLoop;
  readonly counters: EngineCounters;
  readonly pool: BlockPool;
  /** An owner's code threw: a connection ended for it with INTERNAL_ERROR, and nothing else. */
  onFault(error: unknown): void;
}

/** Puts a connected socket (TCP, Unix or TLS after its handshake) to a connection of the engine. */
export class SocketConnection implements ConnectionHandler, LoopMember {
  readonly connection: Connection;
  readonly socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #loop: EngineLoop;
  readonly #onFault: (error: unknown) => void;
  /** The monotonic time in milliseconds since which the socket accepts no output; -1 if it does. */
  writingSinceMs = -1;
  #queued = false;
  #writing = false;
  #paused = false;
  #deadSinceMs = -1;
  #ended = false;
  #closed = false;

  constructor(
    socket: Socket,
    isServer: boolean,
    limits: EngineLimits,
    owner: ConnectionOwner,
    deps: SocketConnectionDeps,
  ) {
    this.socket = socket;
    this.#owner = owner;
    this.#loop = deps.loop;
    this.#onFault = (error) => deps.onFault(error);
    socket.setNoDelay(true);
    this.connection = new Connection(
      isServer,
      limits,
      { handler: this, counters: deps.counters, pool: deps.pool },
      deps.loop.time(),
    );
    deps.loop.add(this);
    // Without a listener an error of one peer would end the process; "close" follows.
    socket.on("error", () => {});
    socket.on("end", () => this.destroy());
    socket.on("close", () => this.#onClose());
    readSocket(socket, (bytes, length) => this.#onBytes(bytes, length));
  }

  onRequest(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    this.#owner.onRequest(stream, fields, endStream);
  }

  onOversized(stream: Stream): void {
    if (this.#owner.onOversized === undefined) stream.reset(errorCode.protocolError);
    else this.#owner.onOversized(stream);
  }

  lastFields(): readonly PreparedField[] | null {
    return this.#owner.lastFields?.() ?? null;
  }

  onCapacity(): void {
    this.#owner.onCapacity(this.connection);
  }

  onFault(error: unknown): void {
    this.#onFault(error);
  }

  /** An error that an owner throws ends its connection, never the process. */
  #crash(error: unknown): void {
    this.#onFault(error);
    this.connection.crash();
  }

  onWork(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#loop.flushLater(this);
  }

  #onBytes(bytes: Uint8Array, length: number): void {
    const { connection } = this;
    if (connection.dead) return;
    const nowMs = this.#loop.beginRead();
    try {
      connection.receive(bytes, nowMs, length);
    } catch (error) {
      this.#crash(error);
    } finally {
      this.#loop.endRead();
    }
    if (!this.#paused && this.#isFull) {
      this.#paused = true;
      this.socket.pause();
    }
  }

  /**
   * Whether the peer reads less than what its frames make us answer. Clients read on as long as there are few answers:
   * if both sides waited for each other to read, neither ever would.
   */
  get #isFull(): boolean {
    const { output, limits, isServer } = this.connection;
    return output.controlFrames > limits.controlFramesMax || (isServer && output.size >= limits.outputBytesMax);
  }

  /** Writes the waiting output, unless the last write has not finished. */
  flush(): void {
    this.#queued = false;
    if (this.#closed || this.#writing) return;
    const chunks = this.#takeOutput();
    if (chunks.length === 0) {
      if (this.connection.dead) this.#endSocket();
      return;
    }
    this.#writing = true;
    this.writingSinceMs = this.#loop.nowMs;
    writeSocket(this.socket, chunks, this.#onWritten);
  }

  #takeOutput(): Buffer[] {
    try {
      return this.connection.takeOutput();
    } catch (error) {
      this.#crash(error);
      return this.connection.takeOutput(); // the GOAWAY; a dead connection has no streams left to throw
    }
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#writing = false;
    if (this.#closed) return;
    if (error) {
      this.destroy();
      return;
    }
    const { connection } = this;
    connection.output.recycle();
    this.writingSinceMs = -1;
    if (connection.output.size > 0 || connection.sender.waitingBytes > 0 || connection.dead) this.onWork();
    if (this.#paused && !this.#isFull) {
      this.#paused = false;
      this.socket.resume();
    }
  };

  #endSocket(): void {
    if (this.#ended) return;
    this.#ended = true;
    // What still comes in is read and thrown away: unread bytes would turn our end into a reset.
    this.socket.resume();
    this.socket.end();
  }

  tick(nowMs: number, lostMs: number): void {
    if (this.writingSinceMs >= 0) this.writingSinceMs += lostMs;
    if (this.#deadSinceMs >= 0) this.#deadSinceMs += lostMs;
    try {
      this.connection.tick(nowMs, lostMs);
    } catch (error) {
      this.#crash(error);
    }
    const { output, limits } = this.connection;
    const isStuck = this.writingSinceMs >= 0 && nowMs - this.writingSinceMs > stuckMs;
    if (isStuck && output.controlFrames > limits.controlFramesMax)
      this.connection.fail(errorCode.enhanceYourCalm, refusal.control_queue);
    if (!this.connection.dead) return;
    // A peer that reads nothing must not keep the socket of a dead connection.
    if (this.#deadSinceMs < 0) this.#deadSinceMs = nowMs;
    else if (nowMs - this.#deadSinceMs >= lingerMs) this.destroy();
  }

  /** Closes gracefully: open streams finish. */
  shutdown(): void {
    this.connection.shutdown(this.#loop.time());
  }

  destroy(): void {
    this.connection.lost();
    this.socket.destroy();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#loop.remove(this);
    this.connection.lost();
    this.connection.output.abandon();
    try {
      this.#owner.onClosed(this);
    } catch (error) {
      this.#onFault(error);
    }
  }
}
