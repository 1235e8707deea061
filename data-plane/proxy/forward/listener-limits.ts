/** How many connections a listener takes, and how much each of them may send. */
import { applicationLimits, defaultLimits, type EngineLimits } from "../../http2/limits.js";

export interface ListenerLimits {
  /** The most connections; with mutual TLS, of peers that have proved who they are. */
  readonly connectionsMax: number;
  /**
   * With mutual TLS: the most connections whose peers have not proved their identity yet. The oldest is closed for a
   * new one.
   */
  readonly unprovenMax: number;
  readonly handshakeTimeoutMs: number;
  /** How long a balancer in front may take to say whose connection it passes on, in milliseconds. */
  readonly frontTimeoutMs: number;
  /** The limits for the HTTP/2 engine of each connection. */
  readonly engine: EngineLimits;
}

/** Keepalive settings. PINGs find peers that vanished silently. The system reports when the own application is gone. */
const keepalive = { keepaliveMs: 30_000, keepaliveTimeoutMs: 15_000 };

/** Limits for peers: 100 calls a connection. */
export const inboundLimits: ListenerLimits = {
  connectionsMax: 4096,
  unprovenMax: 2048,
  handshakeTimeoutMs: 10_000,
  frontTimeoutMs: 5000,
  engine: {
    ...defaultLimits,
    concurrentStreamsMax: 100,
    ...keepalive,
    requestRules: { grpcOnly: true, scheme: "https", refuseUnderscore: false },
  },
};
/** Limits for the own application. Common clients hang silently at the stream limit, so the limit is high. */
export const localLimits: ListenerLimits = {
  ...inboundLimits,
  connectionsMax: 1024,
  engine: { ...applicationLimits, concurrentStreamsMax: 1000 },
};
/** Limits for outside clients at a gateway. Only the address of these strangers is known. */
export const edgeLimits: ListenerLimits = {
  ...inboundLimits,
  engine: { ...inboundLimits.engine, requestRules: { grpcOnly: true, scheme: undefined, refuseUnderscore: false } },
};
