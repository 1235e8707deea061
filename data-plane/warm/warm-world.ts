/**
 * Two in-memory proxies between a client and an application, built from the parts of real proxies. They have an
 * identity, a policy, metrics and an engine of their own and no listener, so nothing outside sees what they do.
 */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { workloadId } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import type { Svid } from "../../runtime/tls-identity.js";
import { Egresses } from "../egress/egresses.js";
import type { CallIdentity, FollowedEndpoints, TrustView } from "../ports.js";
import { Carrier, type CarrierOptions } from "../proxy/carrier.js";
import { createProxyEngine, type ProxyEngine } from "../proxy/forward/proxy-engine.js";
import { TlsState } from "../proxy/tls-state.js";
import { CallWindow, countedTwice } from "../status/call-window.js";
import { createMetrics } from "../status/metrics.js";
import { openTelemetry } from "../telemetry/open-telemetry.js";
import { MemorySocket } from "./memory-socket.js";
import { serveInMemory } from "./warm-application.js";
import { openWarmPolicy, warmCallerService, warmMesh, warmService } from "./warm-policy.js";

export interface WarmWorld {
  readonly engine: ProxyEngine;
  /** Connects a client to the calling service's proxy. */
  connect(): Socket;
  close(): void;
}

/**
 * The recorded share of decisions. It is higher than usual, so that the recording code runs as often as in a minute of
 * calls.
 */
const recordShare = 0.05;
const dayMs = 86_400_000;
const never = () => () => {};
const trust: TrustView = {
  sequence: 1,
  rootsPem: [],
  isRevoked: () => false,
  issuers: [],
  egresses: [],
  onChange: never,
};

/** Treats the other end of every connection as the caller's service. */
class MemoryTls extends TlsState {
  override verify(): Svid {
    return {
      spiffeId: workloadId(warmMesh, warmCallerService),
      serial: "1",
      notAfterMs: systemClock.nowMs() + dayMs,
    } as Svid;
  }

  override verifyCaller(): Svid {
    return this.verify();
  }
}

function identityOf(service: string): CallIdentity {
  return {
    ...{ mesh: warmMesh, service, proxyId: service, version: "v1", spiffeId: workloadId(warmMesh, service) },
    ...{ certificateChainPem: "", privateKeyPem: "", serial: "1", notAfterMs: systemClock.nowMs() + dayMs },
  };
}

/** `onFault` gets an internal error, which ended the connection that it occurred on. */
export function openWarmWorld(onFault: (error: unknown) => void): WarmWorld {
  const nowMs = () => systemClock.monotonicMs();
  const engine = createProxyEngine(nowMs, onFault);
  const connectTo = (take: (socket: Socket) => void): Socket => {
    const [mine, theirs] = MemorySocket.pair();
    take(theirs);
    return mine;
  };
  const toApplication = () => connectTo((socket) => serveInMemory(socket, engine));
  const inbound = openProxy(warmService, { engine: createProxyEngine(nowMs, onFault), dial: toApplication });
  const toInbound = () => connectTo((socket) => inbound.takeProven(socket));
  const outbound = openProxy(warmCallerService, { engine: createProxyEngine(nowMs, onFault), dial: toInbound });
  return {
    engine,
    connect: () => connectTo((socket) => outbound.take(0, socket)),
    close: () => {
      outbound.close();
      inbound.close();
      engine.stop();
    },
  };
}

/** Builds a proxy the way `app-carrying.ts` does. */
function openProxy(
  service: string,
  { engine, dial }: { readonly engine: ProxyEngine; readonly dial: () => Socket },
): Carrier {
  const policy = openWarmPolicy();
  const identity = { current: identityOf(service), onRotate: never };
  const metrics = createMetrics(engine.counters, engine);
  const random = { draw: Math.random, random: randomBytes };
  const log = silentLogger;
  const clock = systemClock;
  const telemetry = openTelemetry(
    { policy, identity, clock, log, ...random, metrics },
    { otlp: undefined, accessLog: "-" },
  );
  const outside = new Egresses({ trust, policy, endpoints: endpoints(), clock, log }, { keys: [], dns: [], own: [] });
  const options: CarrierOptions = {
    ...{ mesh: warmMesh, service, version: "v1", labels: [], inbound: service === warmService },
    ...{ outbounds: service === warmService ? [] : [undefined], recordShare },
  };
  return new Carrier(
    {
      ...{ identity, trust, policy, endpoints: outside, outside, engine, clock, log, ...random },
      app: { current: { instance: service, target: { path: "" } }, onChange: never, reportRefused: () => {} },
      metrics: countedTwice(metrics.proxy, new CallWindow(undefined)),
      watch: telemetry.watch,
      decisions: { offer: () => true, offerCounts: () => {} },
      memory: { dial, tls: new MemoryTls({ identity, trust, clock }) },
    },
    options,
  );
}

function endpoints(): FollowedEndpoints {
  const of = { service: warmService, version: "v1", labels: [], gone: false, timeMs: 0 } as const;
  const all: readonly Endpoint[] = [{ ...of, proxyId: warmService, instance: warmService, address: "127.0.0.1:1" }];
  return { endpoints: () => all, ready: async () => {}, onChange: never };
}
