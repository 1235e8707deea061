/** The HTTP/1.1 connections of one listener, and the bounds that policy states for connections. */
import type { Socket } from "node:net";
import type { EdgeListener } from "../../core/kinds/gateway/gateway.js";
import type { EngineLimits } from "../http2/limits.js";
import { headerLimits } from "../proxy/forward/header-limits.js";
import type { HeldConnection, Peer, WebDoor } from "../proxy/forward/listener.js";
import { edgeLimits } from "../proxy/forward/listener-limits.js";
import type { ProxyEngine } from "../proxy/forward/proxy-engine.js";
import { Http1Connection, type Http1Deps } from "./http1/http1-connection.js";
import type { Exchange } from "./web/exchange.js";

/** The default bound of one message in KiB. */
const messageKibUsual = 4096;

export class EdgeWebDoor implements WebDoor {
  readonly #engine: ProxyEngine;
  readonly #connections = new Set<Http1Connection>();
  /** Stops telling the connections the time. */
  readonly stop: () => void;
  #listener: EdgeListener | undefined;
  /** Answers requests. */
  take: (exchange: Exchange) => void = (exchange) => exchange.refuse(503);

  constructor(engine: ProxyEngine) {
    this.#engine = engine;
    this.stop = engine.loop.onTick((nowMs, lostMs) => {
      for (const connection of this.#connections) connection.tick(nowMs, lostMs);
    });
  }

  /** Applies policy; `listener`: undefined if policy has none. */
  follow(listener: EdgeListener | undefined): void {
    this.#listener = listener;
  }

  get isOpen(): boolean {
    return this.#listener?.protocols.some((protocol) => protocol !== "grpc") === true;
  }

  /** The limits for a call that begins now. */
  limits(): EngineLimits {
    const { messageBytesMax } = this.#engine;
    const stated = (this.#listener?.limits?.messageKib ?? messageKibUsual) * 1024;
    return { ...edgeLimits.engine, messageBytesMax: Math.min(messageBytesMax, stated) };
  }

  /** The most bytes of header fields of a request, on a connection that is opened now. */
  headerBytesMax(): number {
    const stated = this.#listener?.limits?.headerKib;
    return Math.min(this.#engine.headerBytesMax, stated === undefined ? Number.POSITIVE_INFINITY : stated * 1024);
  }

  accept(socket: Socket, peer: Peer, closed: () => void): HeldConnection {
    const { budget, loop, counters } = this.#engine;
    const { headerListBytesMax, headerFieldsMax } = headerLimits(this.headerBytesMax(), false);
    const deps: Http1Deps = {
      ...{ budget, loop, headBytesMax: headerListBytesMax, fieldsMax: headerFieldsMax },
      take: (exchange) => this.take(exchange),
      refused: (reason) => counters.refuse(reason),
      onFault: (error) => this.#engine.onFault(error),
    };
    const connection = new Http1Connection(socket, peer, deps);
    this.#connections.add(connection);
    connection.onClose(() => {
      this.#connections.delete(connection);
      closed();
    });
    return connection;
  }
}
