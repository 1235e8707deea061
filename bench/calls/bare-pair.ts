import type { Socket } from "node:net";
import { defaultLimits, type EngineLimits } from "../../data-plane/http2/limits.js";
import { BlockPool } from "../../data-plane/http2/output.js";
import { errorCode } from "../../data-plane/http2/protocol.js";
import { EngineCounters } from "../../data-plane/http2/refusals.js";
import { EngineLoop } from "../../data-plane/http2-sockets/engine-loop.js";
import { type ConnectionOwner, SocketConnection } from "../../data-plane/http2-sockets/socket-connection.js";
import { Forward } from "../forwarder/forward.js";
import type { Taker } from "./mesh-pair.js";

const limits: EngineLimits = { ...defaultLimits, concurrentStreamsMax: 1000 };

/** Starts a forwarder without any policy. It opens as many upstream connections as it needs. */
export function startBare(dial: () => Socket): Taker {
  const deps = {
    loop: new EngineLoop(() => performance.now()),
    counters: new EngineCounters(),
    pool: new BlockPool(),
    onFault: (error: unknown) => console.error(error),
  };
  const upstreamOwner: ConnectionOwner = {
    onRequest: (stream) => stream.reset(errorCode.protocolError),
    onCapacity() {},
    onClosed() {},
  };
  const upstream = new SocketConnection(dial(), false, limits, upstreamOwner, deps).connection;
  const owner: ConnectionOwner = {
    onRequest(stream, fields, endStream) {
      const forward = new Forward(stream);
      stream.sink = forward;
      forward.start(upstream, fields, endStream);
    },
    onCapacity() {},
    onClosed() {},
  };
  return {
    take(socket) {
      new SocketConnection(socket, true, limits, owner, deps);
    },
  };
}
