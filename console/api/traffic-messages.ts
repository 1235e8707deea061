/** The fields of the contract (proto/ashlar/v1/look.proto) that the pages show about live calls. */
import { list, message, number, type Read, text, truth } from "./read.js";

export const trafficPair = message({
  caller: text,
  service: text,
  method: text,
  version: text,
  calls: number,
  refused: number,
  failed: number,
  p50Ms: number,
  p99Ms: number,
});
export type TrafficPair = Read<typeof trafficPair>;

export const watchedTraffic = message({
  timeMs: number,
  windowMs: number,
  pairs: list(trafficPair),
  leftOff: number,
  proxies: number,
  answering: number,
  silent: list(text),
});
export type WatchedTraffic = Read<typeof watchedTraffic>;

export const tappedCall = message({
  timeMs: number,
  outbound: truth,
  caller: text,
  service: text,
  method: text,
  version: text,
  code: number,
  reason: text,
  tookMs: number,
  decision: text,
});
export type TappedCall = Read<typeof tappedCall>;

export const tapBatch = message({ calls: list(tappedCall), proxyId: text, dropped: number });
export type TapBatch = Read<typeof tapBatch>;
