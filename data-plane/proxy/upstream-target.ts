/** A place that calls can be sent to, and the limits for it. */
import type { Socket } from "node:net";
import type { ProxyEngine } from "./forward/proxy-engine.js";
import type { UpstreamSessionOptions } from "./forward/upstream-session.js";

export interface UpstreamTarget {
  /** The target's key. Two targets with the same key share connections. */
  readonly key: string;
  /** The version of the instance. Left out: the target is the proxy's own application. */
  readonly version?: string;
  /** Connects and proves that the other side has the expected identity. Fails with an AshlarError. */
  dial(): Promise<Socket>;
  /** The session's options. Left out: the options of the pool. */
  readonly session?: UpstreamSessionOptions;
  /** Returns why no further connection may be made now, or undefined if one may. Left out: one always may. */
  whyNotDial?(): string | undefined;
}

export interface UpstreamPoolOptions {
  /** The most connections that accept calls. */
  readonly connectionsMaxPerTarget: number;
  /** The most connections that would accept calls if other callers had left them some of the window. */
  readonly narrowMaxPerTarget: number;
  /** The most connections that only finish their calls. Beyond that, the oldest is closed. */
  readonly finishingMaxPerTarget: number;
  /** The most calls that wait for a stream. */
  readonly waitingMaxPerTarget: number;
  /** The most connections that are being dialled at once, to all targets together. */
  readonly dialsMax: number;
  readonly redialMsMin: number;
  readonly redialMsMax: number;
  readonly session: UpstreamSessionOptions;
}

export interface UpstreamPoolDeps {
  /** Returns random numbers, uniform in [0, 1). */
  readonly random: () => number;
  readonly engine: ProxyEngine;
  /** Connects instead of the targets where calls stay in memory. Left out: each target connects itself. */
  readonly dial?: ((key: string) => Socket) | undefined;
}
