import type { Socket } from "node:net";
import { AshlarError } from "../../../core/errors.js";
import type { Connection } from "../../http2/connection.js";
import { applicationLimits, defaultLimits, type EngineLimits } from "../../http2/limits.js";
import { errorCode } from "../../http2/protocol.js";
import { refusalReasons } from "../../http2/refusals.js";
import { narrowWindowBytes } from "../../http2/sender.js";
import type { Stream } from "../../http2/stream.js";
import { type ConnectionOwner, SocketConnection } from "../../http2-sockets/socket-connection.js";
import { connectionWindowBytes } from "./connection-window.js";
import type { OtherEnd } from "./endings.js";
import { headerLimits } from "./header-limits.js";
import type { ProxyEngine } from "./proxy-engine.js";
import { SlowCancels } from "./slow-cancels.js";

export interface UpstreamSessionOptions {
  readonly streamsMax: number;
  readonly prefaceTimeoutMs: number;
  /** The time between keepalive PINGs while calls are open, in milliseconds. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /**
   * How many keepalive PINGs are sent at that pace after a call was opened; later ones are sent only every
   * `patientKeepaliveMs`. gRPC servers end the connection of a client that sends more than two within five minutes in
   * which they sent nothing.
   */
  readonly keepalivesAtPaceMax: number;
  readonly patientKeepaliveMs: number;
  /** Whether the other side is a proxy, which other callers share; otherwise it is this proxy's own application. */
  readonly toProxy: boolean;
  /** Whether the other side is a server outside the mesh. `toProxy` is true then. */
  readonly isOutside?: boolean;
}

export const upstreamSessionDefaults: UpstreamSessionOptions = {
  streamsMax: 1000,
  prefaceTimeoutMs: 5000,
  keepaliveMs: 20_000,
  keepaliveTimeoutMs: 10_000,
  keepalivesAtPaceMax: 2,
  patientKeepaliveMs: 330_000,
  toProxy: true,
};

/** The owner of a session, which assigns calls to the session. */
export interface SessionWatcher {
  /** Called when a call has ended or is about to. */
  roomMade(): void;
  /** Called when the session accepts more calls, fewer, or none. */
  changed(session: UpstreamSession): void;
}

/** An HTTP/2 connection to an upstream. It knows how many calls it may carry. */
export class UpstreamSession implements ConnectionOwner {
  readonly connection: Connection;
  readonly socket: Socket;
  readonly #wire: SocketConnection;
  readonly #streamsMax: number;
  #watcher: SessionWatcher | null = null;
  /** When calls began to wait for the connection's window; -1: none waits. The owner sets it. */
  narrowSinceMs = -1;
  /** How many calls the target had given to connections before this one opened. The owner sets it. */
  givenBefore = 0;
  readonly openedMs: number;
  /** The version of the instance at the other end; "" for the proxy's own application. */
  readonly version: string;
  readonly #closeListeners: (() => void)[] = [];
  readonly #engine: ProxyEngine;
  readonly #other: OtherEnd;
  readonly #cancels: SlowCancels | undefined;
  #onOpen: ((failure: string | undefined) => void) | undefined;
  #retiring = false;
  #closed = false;

  private constructor(
    socket: Socket,
    options: UpstreamSessionOptions,
    engine: ProxyEngine,
    name: string,
    version: string,
  ) {
    this.version = version;
    const limits: EngineLimits = {
      ...(options.toProxy ? defaultLimits : applicationLimits),
      connectionWindowBytes: connectionWindowBytes(options.streamsMax, engine.budget),
      messageBytesMax: engine.messageBytesMax,
      ...headerLimits(engine.headerBytesMax, options.toProxy),
      prefaceTimeoutMs: options.prefaceTimeoutMs,
      keepaliveMs: options.toProxy ? (engine.keepaliveMs ?? options.keepaliveMs) : 0,
      keepaliveTimeoutMs: options.keepaliveTimeoutMs,
      keepalivesAtPaceMax: options.keepalivesAtPaceMax,
      patientKeepaliveMs: options.patientKeepaliveMs,
      keepaliveIdle: false,
    };
    this.socket = socket;
    this.openedMs = engine.loop.time();
    this.#streamsMax = options.streamsMax;
    this.#wire = new SocketConnection(socket, false, limits, this, engine);
    this.connection = this.#wire.connection;
    this.#engine = engine;
    const who = options.isOutside === true ? "an egress" : options.toProxy ? "a peer proxy" : "the own application";
    this.#other = { who, name };
    const nowMs = (): number => engine.loop.time();
    this.#cancels = options.toProxy ? new SlowCancels(nowMs, () => this.released()) : undefined;
  }

  /**
   * Speaks HTTP/2 on a connected socket and waits for the other side's SETTINGS, so that its stream limit is known
   * before the first call. `name`: a name for logs. `version`: of the instance there. Fails with `unavailable` and
   * closes the socket then.
   */
  static open(
    socket: Socket,
    options: UpstreamSessionOptions,
    engine: ProxyEngine,
    name: string,
    version = "",
  ): Promise<UpstreamSession> {
    return new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new AshlarError("unavailable", "the connection was closed"));
      const session = new UpstreamSession(socket, options, engine, name, version);
      const settle = (failure: string | undefined): void => {
        inTime();
        session.#onOpen = undefined;
        if (failure === undefined) resolve(session);
        else {
          reject(new AshlarError("unavailable", failure));
          session.destroy();
        }
      };
      const late = (): void => settle("no HTTP/2 settings within the bound");
      const inTime = engine.loop.after(options.prefaceTimeoutMs, late);
      session.#onOpen = settle;
    });
  }

  /** The name of the session's target in the pool. */
  get name(): string {
    return this.#other.name;
  }

  /** The number of open calls. */
  get outstanding(): number {
    return this.connection.streams.slots;
  }

  /** True if the session accepts no new calls. */
  get closed(): boolean {
    return this.#closed || this.connection.dead || this.connection.control.draining;
  }

  /** Whether the identity or trust that the session was dialled with has been replaced. */
  get retiring(): boolean {
    return this.#retiring;
  }

  /** Whether the other side accepts one more stream. */
  get hasSlot(): boolean {
    return this.connection.canOpen && this.connection.streams.slots < this.#streamsMax;
  }

  /** Whether a call can be opened now and would be sent: other callers may have used up the connection's window. */
  get hasRoom(): boolean {
    return this.connection.sender.window >= narrowWindowBytes && this.hasSlot;
  }

  /** Whether any call was ever opened on the session. */
  get used(): boolean {
    return this.connection.hasOpened;
  }

  watch(watcher: SessionWatcher): void {
    this.#watcher = watcher;
  }

  onClose(listener: () => void): void {
    if (this.#closed) listener();
    else this.#closeListeners.push(listener);
  }

  /**
   * Cancels a call that the caller no longer wants or whose deadline has passed. It counts as `released` then.
   * `caller`: see `SlowCancels`.
   */
  cancel(stream: Stream, caller: Stream | null = null): void {
    if (this.#cancels === undefined) stream.reset(errorCode.cancel);
    else this.#cancels.cancel(stream, caller);
    this.released();
  }

  /** Notes that a call on this session is over or about to end. */
  released(): void {
    this.#watcher?.roomMade();
    if (this.#retiring) this.#closeWhenLeft();
  }

  #closeWhenLeft(): void {
    setImmediate(() => {
      if (this.outstanding === 0) this.#wire.shutdown();
    });
  }

  /** Lets no new calls use this session once there is another one. It closes when its last call has ended. */
  retire(): void {
    this.#retiring = true;
    if (this.outstanding === 0) this.#wire.shutdown();
  }

  /** Accepts no new calls. Open calls finish. */
  shutdown(): void {
    this.#wire.shutdown();
  }

  /** Closes at once. Open calls are ended. */
  destroy(): void {
    this.#wire.destroy();
  }

  onRequest(stream: Stream): void {
    stream.reset(errorCode.protocolError);
  }

  onCapacity(connection: Connection): void {
    if (!connection.dead && connection.control.settingsReceived) this.#onOpen?.(undefined);
    if (connection.sender.window >= narrowWindowBytes) this.narrowSinceMs = -1;
    this.#watcher?.changed(this);
  }

  onClosed(): void {
    this.#closed = true;
    this.#cancels?.stop();
    this.#engine.endings.note(this.connection, this.#other);
    const reason = refusalReasons[this.connection.deadReason] ?? "none";
    this.#onOpen?.(reason === "none" ? "the connection was closed" : `the other side broke HTTP/2 (${reason})`);
    for (const listener of this.#closeListeners.splice(0)) listener();
  }
}
