import { getHeapStatistics } from "node:v8";
import { DestinationBudget, defaultRetryBudget } from "../../../core/balance/retry-budget.js";
import type { Logger } from "../../../runtime/log.js";
import { defaultLimits } from "../../http2/limits.js";
import { MemoryBudget } from "../../http2/memory-budget.js";
import { BlockPool } from "../../http2/output.js";
import { EngineCounters } from "../../http2/refusals.js";
import { EngineLoop } from "../../http2-sockets/engine-loop.js";
import { MemoryReaper } from "../../http2-sockets/memory-reaper.js";
import type { SocketConnectionDeps } from "../../http2-sockets/socket-connection.js";
import { type HeapUse, Overload } from "../overload.js";
import { WaitCounters } from "../wait-counters.js";
import { DeadlineWheel } from "./deadline-wheel.js";
import { Endings } from "./endings.js";

/** The state that all connections of a proxy share. */
export interface ProxyEngine extends SocketConnectionDeps {
  readonly loop: EngineLoop;
  readonly counters: EngineCounters;
  readonly pool: BlockPool;
  readonly deadlines: DeadlineWheel;
  readonly budget: MemoryBudget;
  readonly overload: Overload;
  readonly retries: DestinationBudget;
  readonly waits: WaitCounters;
  /** Notes why connections ended, for the log and the metrics. */
  readonly endings: Endings;
  /** The most bytes of one gRPC message. */
  readonly messageBytesMax: number;
  /**
   * The most bytes of the header fields of one request or response, as applications are told
   * (SETTINGS_MAX_HEADER_LIST_SIZE).
   */
  readonly headerBytesMax: number;
  readonly keepaliveMs: number | undefined;
  /** Stops the timers and closes the connections. */
  stop(): void;
}

/** Plain data, since a worker process receives it in a message. */
export interface ProxyEngineOptions {
  /** The most bytes that all connections together hold for peers that do not read. */
  readonly bufferBytesMax: number;
  readonly messageBytesMax: number;
  readonly headerBytesMax: number;
  /**
   * After how long without bytes another proxy is sent a keepalive PING, in milliseconds. 0: never; undefined: 20 or 30
   * s.
   */
  readonly keepaliveMs?: number | undefined;
}

export const proxyEngineDefaults: ProxyEngineOptions = {
  bufferBytesMax: 268_435_456,
  messageBytesMax: defaultLimits.messageBytesMax,
  headerBytesMax: defaultLimits.headerListBytesMax,
};

/**
 * Creates the shared state. `nowMs` must be monotonic. `onFault` receives Ashlar's own faults that ended a connection;
 * `log` receives why other connections ended.
 */
export function createProxyEngine(
  nowMs: () => number,
  onFault: (error: unknown) => void,
  options: ProxyEngineOptions = proxyEngineDefaults,
  heap: () => HeapUse = heapUse,
  log?: Logger,
): ProxyEngine {
  const budget = new MemoryBudget(options.bufferBytesMax);
  const loop = new EngineLoop(nowMs);
  new MemoryReaper(loop, budget);
  const overload = new Overload(budget, heap, nowMs());
  const timer = setInterval(() => overload.poll(nowMs()), overload.limits.pollMs).unref();
  return {
    loop,
    counters: new EngineCounters(),
    pool: new BlockPool(budget),
    deadlines: new DeadlineWheel(nowMs, onFault),
    budget,
    overload,
    retries: new DestinationBudget(defaultRetryBudget, nowMs()),
    waits: new WaitCounters(),
    endings: new Endings(nowMs, log),
    messageBytesMax: options.messageBytesMax,
    headerBytesMax: options.headerBytesMax,
    keepaliveMs: options.keepaliveMs,
    onFault,
    stop: () => {
      clearInterval(timer);
      loop.stop();
    },
  };
}

function heapUse(): HeapUse {
  const { used_heap_size: usedBytes, heap_size_limit: limitBytes } = getHeapStatistics();
  return { usedBytes, limitBytes };
}

/** Logs a fault of Ashlar itself with its stack. */
export function logFault(log: Logger, error: unknown): void {
  log.error("a fault of the proxy's own", {
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
}
