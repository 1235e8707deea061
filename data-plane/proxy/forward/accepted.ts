import type { Socket } from "node:net";
import { messageOf } from "../../../core/errors.js";
import type { FieldBlock } from "../../http2/field-block.js";
import type { EngineLimits } from "../../http2/limits.js";
import type { PreparedField } from "../../http2/prepared-field.js";
import { errorCode } from "../../http2/protocol.js";
import { refusal } from "../../http2/refusals.js";
import type { Stream, StreamSink } from "../../http2/stream.js";
import { type ConnectionOwner, SocketConnection } from "../../http2-sockets/socket-connection.js";
import { headersAnswer } from "../answer.js";
import { connectionWindowBytes } from "./connection-window.js";
import type { OtherEnd } from "./endings.js";
import { excessHere, headerLimits } from "./header-limits.js";
import type { HeldConnection, ListenerDeps, Peer } from "./listener-deps.js";
import { revisionField, sendAnswer } from "./response-fields.js";
import { SeldomLog } from "./seldom-log.js";

/** Limits what a connection may send. */
export interface ConnectionLimits extends EngineLimits {
  /** The most bytes of header fields that a request may have, before what a proxy adds. */
  readonly headerBytesMax: number;
  /** Whether the other end is a proxy, which adds fields of its own to requests. */
  readonly isFromProxy: boolean;
}

/** An HTTP/2 connection that a listener accepted. */
export class Accepted implements ConnectionOwner, HeldConnection {
  readonly socket: Socket;
  readonly #wire: SocketConnection;
  readonly #peer: Peer | undefined;
  /** The address of the listener that accepted the connection. */
  readonly #address: string;
  readonly #deps: ListenerDeps;
  readonly #oversized: SeldomLog;
  /** From whom requests come. */
  readonly #from: "edge" | "inbound" | "outbound";
  readonly #closeListeners: (() => void)[] = [];
  #closed = false;

  constructor(
    socket: Socket,
    peer: Peer | undefined,
    address: string,
    limits: ConnectionLimits,
    deps: ListenerDeps,
    closed: () => void,
  ) {
    this.socket = socket;
    this.#peer = peer;
    this.#address = address;
    this.#deps = deps;
    this.#oversized = new SeldomLog(deps.log);
    this.#closeListeners.push(closed);
    this.#from = peer === undefined ? "outbound" : limits.isFromProxy ? "inbound" : "edge";
    const { budget } = deps.engine;
    const window = connectionWindowBytes(limits.concurrentStreamsMax, budget);
    const lists = headerLimits(limits.headerBytesMax, limits.isFromProxy);
    const keepaliveMs = peer === undefined ? 0 : (deps.engine.keepaliveMs ?? limits.keepaliveMs);
    const engineLimits = { ...limits, ...lists, keepaliveMs, connectionWindowBytes: window };
    this.#wire = new SocketConnection(socket, true, engineLimits, this, deps.engine);
    deps.onConnection(1);
  }

  onRequest(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    try {
      this.#deps.onRequest(stream, fields, endStream, this.#peer);
    } catch (error) {
      this.#deps.log.error("a call failed", { error: messageOf(error) });
      this.#deps.engine.counters.refuse(refusal.internal);
      stream.reset(errorCode.internalError);
    }
  }

  onOversized(stream: Stream): void {
    const { engine } = this.#deps;
    const { headerListBytesMax } = stream.connection.limits;
    const excess = excessHere(this.#from, headerListBytesMax);
    const answer = headersAnswer("request", excess, this.#deps.revision());
    this.#oversized.warn(engine.loop.time(), answer.message, { caller: this.#peer?.spiffeId ?? "the application" });
    sendAnswer(stream, answer);
  }

  lastFields(): readonly PreparedField[] {
    return revisionField(this.#deps.revision());
  }

  onCapacity(): void {}

  onClosed(): void {
    this.#closed = true;
    const { connection } = this.#wire;
    const { onHandshakeFailure, onConnection, engine } = this.#deps;
    if (connection.deadReason === refusal.timeout_preface) {
      onHandshakeFailure("preface", "no HTTP/2 settings within the bound");
    }
    engine.endings.note(connection, this.#other());
    onConnection(-1);
    for (const listener of this.#closeListeners.splice(0)) listener();
  }

  #other(): OtherEnd {
    if (this.#peer === undefined) return { who: "the own application", name: this.#address };
    const who = this.#peer.reader === undefined ? "a peer proxy" : "an application without its proxy";
    return { who, name: this.#peer.spiffeId, address: this.#peer.sourceAddress };
  }

  /** Sends two GOAWAYs (RFC 9113 6.8). Resolves when the last call has ended and the connection is closed. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) return resolve();
      this.#closeListeners.push(resolve);
      this.#wire.shutdown();
    });
  }

  shed(): void {
    this.#wire.shutdown();
  }

  close(end: (sink: StreamSink) => void): void {
    for (const { sink } of [...this.#wire.connection.streams.all()]) end(sink);
    this.#wire.flush();
    this.#wire.destroy();
  }

  destroy(): void {
    this.#wire.destroy();
  }
}
