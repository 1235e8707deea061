/** Constructs what carries a proxy's calls (this process or worker processes) and opens its listeners. */
import { randomBytes } from "node:crypto";
import type { OpenBudgets } from "../core/limit/limiter.js";
import { systemClock } from "../runtime/clock.js";
import type { HostPort } from "../runtime/config.js";
import type { Logger } from "../runtime/log.js";
import type { Parts, ProxySurroundings } from "./app-parts.js";
import type { ProxyConfig } from "./config.js";
import { listenAgain } from "./inbound-port.js";
import { NatsLimitExchange } from "./limits/nats-limit-exchange.js";
import { ShareLoop } from "./limits/share-loop.js";
import { Carrier, type CarrierOptions } from "./proxy/carrier.js";
import type { Carrying } from "./proxy/carrying.js";
import { createProxyEngine, logFault } from "./proxy/forward/proxy-engine.js";
import { prepareSocketPath } from "./proxy/socket-path.js";
import { countedTwice } from "./status/call-window.js";
import { createMetrics } from "./status/metrics.js";
import { WorkerCarrier } from "./workers/worker-carrier.js";

/** Returns undefined if this process carries the calls itself. */
export function prepareWorkers(
  { workers }: ProxyConfig,
  { spawnWorker, log }: ProxySurroundings,
): WorkerCarrier | undefined {
  if (workers === 1) return undefined;
  return new WorkerCarrier({ spawn: spawnWorker, clock: systemClock, log, random: Math.random }, workers);
}

/** Carries calls in this process. `signal` stops the sharing of limits with other proxies. */
export function carryHere(config: ProxyConfig, parts: Parts, signal: AbortSignal): Carrying {
  const engine = createProxyEngine(
    () => parts.clock.monotonicMs(),
    (error) => logFault(parts.log, error),
    config,
    undefined,
    parts.log,
  );
  const metrics = createMetrics(engine.counters, engine);
  metrics.reportShadow(() => parts.tally.totals);
  const known = { ...parts, trust: parts.sync.trust, app: parts.registry };
  const own = { metrics: countedTwice(metrics.proxy, parts.window), engine, draw: Math.random, random: randomBytes };
  const carrier = new Carrier(
    { ...known, ...own, openBudgets: openShares(parts, signal) },
    carrierOptions(config, parts),
  );
  return {
    listenInbound: (address) => carrier.listenInbound(address),
    listenOutbound: (index, address) => carrier.listenOutbound(index, address),
    whenIdle: (signal) => carrier.whenIdle(signal),
    drain: () => carrier.drain(),
    close: async () => carrier.close(),
    reasonsNotReady: () => [],
    metrics,
  };
}

/** Opens the budgets that are shared with the other proxies of the service. */
function openShares(parts: Parts, signal: AbortSignal): OpenBudgets {
  const loop = new ShareLoop(new NatsLimitExchange(parts, signal), parts.clock);
  void loop.run(signal);
  return loop.openBudgets;
}

/**
 * Starts the workers, which carry the calls. `signal` stops the start; `life` stops the sharing of limits with other
 * proxies. Fails with `unavailable` if the workers end as soon as they start.
 */
export async function carryInWorkers(
  config: ProxyConfig,
  parts: Parts,
  workers: WorkerCarrier,
  { logFormat }: ProxySurroundings,
  signal: AbortSignal,
  life: AbortSignal,
): Promise<Carrying> {
  const { identity, endpoints, registry, sync, decisions } = parts;
  const limits = new NatsLimitExchange(parts, life);
  const known = { identity, policy: sync.policy, endpoints, app: registry, sync, decisions, limits };
  const log = { level: config.logLevel, format: logFormat, name: `proxy ${config.service}` };
  const { rootPublicKey } = identity.bootstrap;
  const { messageBytesMax, headerBytesMax, keepaliveMs } = config;
  const engine = {
    bufferBytesMax: Math.ceil(config.bufferBytesMax / config.workers),
    messageBytesMax,
    headerBytesMax,
    keepaliveMs,
  };
  try {
    const options = carrierOptions(config, parts);
    await workers.start(known, { options, engine, rootPublicKey, log, workers: config.workers }, signal);
  } catch (error) {
    await workers.close();
    throw error;
  }
  return workers;
}

function carrierOptions(config: ProxyConfig, { identity }: Parts): CarrierOptions {
  const { service, labels, inbound, upstreams, recordShare } = config;
  const outbounds = [undefined, ...upstreams.map((upstream) => upstream.service)];
  const { mesh, version } = identity.current;
  return { mesh, version, service, labels, inbound: inbound !== undefined, outbounds, recordShare };
}

/** Opens every listener for calls. Returns the address at which other proxies reach this one. */
export async function listenForCalls(
  config: ProxyConfig,
  carrying: Carrying,
  log: Logger,
): Promise<HostPort | undefined> {
  const bound =
    config.inbound === undefined
      ? undefined
      : await listenAgain((address) => carrying.listenInbound(address), config.inbound, config.dataDir);
  const outbounds = [config.outbound, ...config.upstreams.map(({ address }) => address)];
  for (const [index, address] of outbounds.entries()) {
    await prepareSocketPath(address, log);
    await carrying.listenOutbound(index, address);
  }
  return bound;
}
