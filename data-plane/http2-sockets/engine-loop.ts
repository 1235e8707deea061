import type { SocketConnection } from "./socket-connection.js";

const tickMs = 1000;

/** Writes once a turn of the event loop what that turn produced, for all connections; and tells them the time. */
export class EngineLoop {
  readonly #connections = new Set<SocketConnection>();
  #dirty: SocketConnection[] = [];
  #spare: SocketConnection[] = [];
  #scheduled = false;
  readonly #timer: NodeJS.Timeout;
  readonly #nowMs: () => number;
  /** The time at the start of this turn's work; exact enough for limits. */
  nowMs: number;

  /** `nowMs` must be monotonic. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.nowMs = nowMs();
    this.#timer = setInterval(() => this.#tick(), tickMs);
    this.#timer.unref();
  }

  add(connection: SocketConnection): void {
    this.#connections.add(connection);
  }

  remove(connection: SocketConnection): void {
    this.#connections.delete(connection);
  }

  get connections(): ReadonlySet<SocketConnection> {
    return this.#connections;
  }

  /** Reads the clock, once a turn. */
  time(): number {
    if (!this.#scheduled) this.nowMs = this.#nowMs();
    return this.nowMs;
  }

  /** Has `connection.flush` called at the end of this turn. */
  flushLater(connection: SocketConnection): void {
    this.#dirty.push(connection);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    const dirty = this.#dirty;
    this.#dirty = this.#spare;
    for (let i = 0; i < dirty.length; i++) (dirty[i] as SocketConnection).flush();
    dirty.length = 0;
    this.#spare = dirty;
  };

  #tick(): void {
    this.nowMs = this.#nowMs();
    for (const connection of this.#connections) connection.tick(this.nowMs);
  }

  /** Cuts every connection. */
  stop(): void {
    clearInterval(this.#timer);
    for (const connection of [...this.#connections]) connection.destroy();
  }
}
