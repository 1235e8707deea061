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

/** `nowMs` must be monotonic. */
export function createProxyEngine(nowMs: () => number): ProxyEngine {
  return {
    loop: new EngineLoop(nowMs),
    counters: new EngineCounters(),
    pool: new BlockPool(),
    deadlines: new DeadlineWheel(nowMs),
  };
}
