/** How many connections a listener takes, and how much each of them may send. */
import { applicationLimits, defaultLimits, type EngineLimits } from "../../http2/limits.js";

export interface ListenerLimits {
  /** The most connections; with mutual TLS, of peers that have proved who they are. */
  readonly connectionsMax: number;
  /** With mutual TLS, the most connections of peers that have not proved it yet; the oldest makes room. */
  readonly unprovenMax: number;
  readonly handshakeTimeoutMs: number;
  /** How long a balancer in front may take to say whose connection it passes on. */
  readonly frontTimeoutMs: number;
  /** What the frame engine of each connection takes. */
  readonly engine: EngineLimits;
}

/** Pings find peers that are gone without a word. The system tells when the own application is gone. */
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
/** Limits for the own application. Common clients hang silently at the limit of streams, so it is high. */
export const localLimits: ListenerLimits = {
  ...inboundLimits,
  connectionsMax: 1024,
  engine: { ...applicationLimits, concurrentStreamsMax: 1000 },
};
/** Limits for outside clients at a gateway: strangers, of whom only their address is known. */
export const edgeLimits: ListenerLimits = {
  ...inboundLimits,
  engine: { ...inboundLimits.engine, requestRules: { grpcOnly: true, scheme: undefined, refuseUnderscore: false } },
};
