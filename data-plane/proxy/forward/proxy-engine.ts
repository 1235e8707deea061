import type { Logger } from "../../../runtime/log.js";
import { BlockPool } from "../../http2/output.js";
import { EngineCounters } from "../../http2/refusals.js";
import { EngineLoop } from "../../http2-sockets/engine-loop.js";
import type { SocketConnectionDeps } from "../../http2-sockets/socket-connection.js";
import { DeadlineWheel } from "./deadline-wheel.js";

/** What all connections of a proxy share. */
export interface ProxyEngine extends SocketConnectionDeps {
  readonly loop: EngineLoop;
  readonly counters: EngineCounters;
  readonly pool: BlockPool;
  readonly deadlines: DeadlineWheel;
}

/** `nowMs` must be monotonic; `onFault` hears of faults of our own that ended a connection. */
export function createProxyEngine(nowMs: () => number, onFault: (error: unknown) => void): ProxyEngine {
  return {
    loop: new EngineLoop(nowMs),
    counters: new EngineCounters(),
    pool: new BlockPool(),
    deadlines: new DeadlineWheel(nowMs, onFault),
    onFault,
  };
}

/** For whoever mends it: what was thrown, and where. */
export function logFault(log: Logger, error: unknown): void {
  log.error("a fault of the proxy's own", {
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
}
