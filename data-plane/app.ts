/** Puts a proxy together. Nothing else constructs its parts. */
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { ServerCredentials } from "@grpc/grpc-js";
import type { OpenBudgets } from "../core/limit/limiter.js";
import type { Clock } from "../runtime/clock.js";
import type { HostPort, SocketAddress } from "../runtime/config.js";
import { type GrpcServer, startGrpcServer } from "../runtime/grpc-server.js";
import type { Logger } from "../runtime/log.js";
import { createAgentService } from "./agent/agent-service.js";
import { runStaticApplication } from "./agent/static-application.js";
import { closeParts, joinOrLoad, openParts, type Parts, type ProxySurroundings } from "./app-parts.js";
import type { ProxyConfig } from "./config.js";
import { listenAgain } from "./inbound-port.js";
import { NatsLimitExchange } from "./limits/nats-limit-exchange.js";
import { ShareLoop } from "./limits/share-loop.js";
import { Carrier, type CarrierOptions } from "./proxy/carrier.js";
import { drain, drainDefaults } from "./proxy/drain.js";
import { createProxyEngine, logFault } from "./proxy/forward/proxy-engine.js";
import type { ProxyMetrics } from "./proxy/proxy-metrics.js";
import { prepareSocketPath } from "./proxy/socket-path.js";
import type { CallWindow } from "./status/call-window.js";
import { openStatusServer } from "./status/http.js";
import { createMetrics } from "./status/metrics.js";
import { reasonsNotReady } from "./status/readiness.js";

export interface RunningProxy {
  /** For people and scripts: "inbound=HOST:PORT agent=unix:PATH outbound=unix:PATH". */
  readonly listening: string;
  /** Resolves when it has stopped, after `signal` aborted. */
  readonly stopped: Promise<void>;
}

const leaveMsMax = 60_000;

/**
 * Joins (or reads the stored identity), opens every listener and serves until `signal` aborts, then drains.
 * undefined: it aborted before the proxy had joined. Fails with one line that says what to do.
 */
export async function startProxy(
  config: ProxyConfig,
  surroundings: ProxySurroundings,
  signal: AbortSignal,
): Promise<RunningProxy | undefined> {
  const { log } = surroundings;
  const life = new AbortController(); // ends after draining, not when asked to stop
  try {
    const identity = await joinOrLoad(config, surroundings, signal, life.signal);
    const parts = await openParts(config, identity, log, life.signal);
    try {
      return await serve(config, parts, life, signal);
    } catch (error) {
      await closeParts(parts);
      throw error;
    }
  } catch (error) {
    life.abort();
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** What was opened above the parts, to be wound down together. */
interface Serving {
  readonly carrier: Carrier;
  readonly agent: GrpcServer | undefined;
  readonly closers: (() => void)[];
  draining: boolean;
}

async function serve(
  config: ProxyConfig,
  parts: Parts,
  life: AbortController,
  signal: AbortSignal,
): Promise<RunningProxy> {
  const closers: (() => void)[] = [];
  try {
    const engine = createProxyEngine(
      () => parts.clock.monotonicMs(),
      (error) => logFault(parts.log, error),
      config,
    );
    const metrics = createMetrics(engine.counters, engine);
    const { policy, trust } = parts.sync;
    const known = { ...parts, policy, trust, app: parts.registry };
    const carried = {
      metrics: countedTwice(metrics.proxy, parts.window),
      engine,
      draw: Math.random,
      random: randomBytes,
      openBudgets: openShares(parts, life.signal),
    };
    const carrier = new Carrier({ ...known, ...carried }, carrierOptions(config, parts.identity.current.mesh));
    closers.push(() => carrier.close());
    const bound = await listen(config, carrier, parts.log);
    const agent = await openAgent(config, parts, carrier, bound);
    const serving: Serving = { carrier, agent, closers, draining: false };
    closers.push(() => void agent?.stop(0));
    await openStatus(config, parts, serving, metrics);
    const startStatic = new AbortController();
    closers.push(() => startStatic.abort());
    if (config.app !== undefined) {
      const app = { instance: parts.identity.current.proxyId, target: config.app };
      void runStaticApplication(parts, app, AbortSignal.any([signal, startStatic.signal]));
    }
    parts.sync.start();
    parts.reporter.start(render(config.advertise ?? bound ?? { host: "127.0.0.1", port: 0 }));
    return {
      listening: describeListening(config, bound),
      stopped: waitForAbort(signal).then(() => stop(config, parts, serving, life)),
    };
  } catch (error) {
    for (const close of closers) close();
    throw error;
  }
}

/** Budgets that are shared with the other proxies of the service. */
function openShares(parts: Parts, signal: AbortSignal): OpenBudgets {
  const loop = new ShareLoop(new NatsLimitExchange(parts, signal), parts.clock);
  void loop.run(signal);
  return loop.openBudgets;
}

/** Every call counts for the metrics, and for the epoch in which it ended. */
function countedTwice(metrics: ProxyMetrics, window: CallWindow): ProxyMetrics {
  return {
    ...metrics,
    callEnded: (call) => {
      metrics.callEnded(call);
      window.ended(call);
    },
  };
}

function carrierOptions(config: ProxyConfig, mesh: string): CarrierOptions {
  const { service, labels, inbound, upstreams, recordShare } = config;
  const outbounds = [undefined, ...upstreams.map((upstream) => upstream.service)];
  return { mesh, service, labels, inbound: inbound !== undefined, outbounds, recordShare };
}

/** Opens every listener for calls; gives where other proxies reach this one. */
async function listen(config: ProxyConfig, carrier: Carrier, log: Logger): Promise<HostPort | undefined> {
  const bound =
    config.inbound === undefined
      ? undefined
      : await listenAgain((address) => carrier.listenInbound(address), config.inbound, config.dataDir);
  const outbounds = [config.outbound, ...config.upstreams.map(({ address }) => address)];
  for (const [index, address] of outbounds.entries()) {
    await prepareSocketPath(address, log);
    await carrier.listenOutbound(index, address);
  }
  return bound;
}

async function openAgent(
  config: ProxyConfig,
  parts: Parts,
  carrier: Carrier,
  bound: HostPort | undefined,
): Promise<GrpcServer | undefined> {
  if (config.agent === undefined) return undefined;
  const { registry, clock, log, identity, sync } = parts;
  await prepareSocketPath({ path: config.agent }, log);
  const service = createAgentService({
    registry,
    clock,
    describe: () => {
      const { mesh, service: name, version, proxyId, spiffeId } = identity.current;
      const ready = sync.policy.current !== undefined && bound !== undefined;
      const outbound = render(config.outbound);
      return {
        mesh,
        service: name,
        version,
        proxyId,
        spiffeId,
        ready,
        outbound,
        socketDir: dirname(config.agent ?? ""),
      };
    },
    drained: () => drainApplication(clock, carrier),
  });
  return startGrpcServer({
    bind: `unix:${config.agent}`,
    credentials: ServerCredentials.createInsecure(),
    services: [service],
    log,
    clock,
  });
}

/** Peers hear of the tombstone while late calls are still served; then the open ones finish. */
async function drainApplication(clock: Clock, carrier: Carrier): Promise<void> {
  await clock.sleep(drainDefaults.discourageMs);
  await carrier.whenIdle(AbortSignal.timeout(leaveMsMax));
}

async function openStatus(
  config: ProxyConfig,
  { sync, identity, registry, decisions, clock }: Parts,
  serving: Serving,
  metrics: ReturnType<typeof createMetrics>,
): Promise<void> {
  const serves = config.app !== undefined || config.agent !== undefined;
  const reasons = (): readonly string[] =>
    reasonsNotReady({
      draining: serving.draining,
      hasRevision: sync.policy.current !== undefined,
      certificateExpiresMs: identity.current.notAfterMs,
      hasApplication: serves ? registry.advertised !== undefined : undefined,
      nowMs: clock.nowMs(),
    });
  metrics.watch({
    seenEpoch: () => sync.policy.seenEpoch,
    evaluatingEpoch: () => sync.policy.current?.epoch ?? 0,
    evaluatingRevision: () => sync.policy.current?.revision ?? 0,
    freshnessAgeMs: () => sync.policy.freshnessAgeMs,
    certificateExpiresMs: () => identity.current.notAfterMs,
    refusedRecords: () => sync.refusedRecords,
    decisions: () => decisions.totals,
    isReady: () => reasons().length === 0,
  });
  if (config.status === undefined) return;
  const problems = (): readonly string[] => {
    const { renewalProblem } = identity;
    return [...sync.problems(), ...(renewalProblem === undefined ? [] : [`certificate renewal: ${renewalProblem}`])];
  };
  const sources = {
    reasonsNotReady: reasons,
    problems,
    metrics: metrics.render,
    metricsContentType: metrics.contentType,
  };
  const server = await openStatusServer(sources, config.status);
  serving.closers.push(() => server.close());
}

async function stop(config: ProxyConfig, parts: Parts, serving: Serving, life: AbortController): Promise<void> {
  const { carrier, closers } = serving;
  const whole = await drain(
    {
      unready: () => {
        serving.draining = true;
      },
      withdraw: () => parts.reporter.leave(),
      finish: () => carrier.drain(),
      close: () => {
        for (const close of closers) close();
      },
    },
    parts.clock,
    { ...drainDefaults, graceMs: config.graceMs },
  );
  if (!whole) parts.log.warn("calls were cut when the grace ended", { graceMs: config.graceMs });
  await closeParts(parts);
  life.abort();
  await parts.identity.stopped;
}

function waitForAbort(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function render(address: SocketAddress): string {
  if ("path" in address) return `unix:${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

function describeListening(config: ProxyConfig, bound: HostPort | undefined): string {
  const words = bound === undefined ? [] : [`inbound=${render(bound)}`];
  if (config.agent !== undefined) words.push(`agent=unix:${config.agent}`);
  words.push(`outbound=${render(config.outbound)}`);
  return words.join(" ");
}
