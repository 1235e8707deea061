/** Where calls can be sent, and within which bounds. */
import type { Socket } from "node:net";
import type { ProxyEngine } from "./forward/proxy-engine.js";
import type { UpstreamSessionOptions } from "./forward/upstream-session.js";

export interface UpstreamTarget {
  /** Two targets with the same key share connections. */
  readonly key: string;
  /** Connects, and proves that the other side is who it should be. Fails with an AshlarError. */
  dial(): Promise<Socket>;
}

export interface UpstreamPoolOptions {
  /** Connections that take calls. */
  readonly connectionsMaxPerTarget: number;
  /** Connections that would take calls, if others had left them something of the window. */
  readonly narrowMaxPerTarget: number;
  /** Connections that only finish what they have: beyond it the oldest ends. */
  readonly finishingMaxPerTarget: number;
  /** Calls that wait for a stream. */
  readonly waitingMaxPerTarget: number;
  /** Connections that are being made at once, to all targets. */
  readonly dialsMax: number;
  readonly redialMsMin: number;
  readonly redialMsMax: number;
  readonly session: UpstreamSessionOptions;
}

export interface UpstreamPoolDeps {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly engine: ProxyEngine;
}
