/** Constructs what carries a proxy's calls (this process or worker processes) and opens its listeners. */

import { randomBytes } from "node:crypto";
import { gatewayNameIn } from "../core/identity.js";
import type { OpenBudgets } from "../core/limit/limiter.js";
import type { KeySet } from "../core/signature.js";
import { onAbort } from "../runtime/abort.js";
import { systemClock } from "../runtime/clock.js";
import type { HostPort, SocketAddress } from "../runtime/config.js";
import { pooledRandomBytes } from "../runtime/random-pool.js";
import type { Parts, ProxySurroundings } from "./app-parts.js";
import type { ProxyConfig } from "./config.js";
import { Egresses, type EgressOptions } from "./egress/egresses.js";
import { placesOfMesh } from "./egress/mesh-ports.js";
import type { ProxyFeed } from "./feed/proxy-feed.js";
import { listenAgain } from "./inbound-port.js";
import { Journal, keysOf, processLifeBytes } from "./journal/journal.js";
import { ReadWaits } from "./journal/read-waits.js";
import { NatsLimitExchange } from "./limits/nats-limit-exchange.js";
import { ShareLoop } from "./limits/share-loop.js";
import { CallTap } from "./look/call-tap.js";
import { Carrier, type CarrierOptions, type MakeEdge } from "./proxy/carrier.js";
import type { Carrying } from "./proxy/carrying.js";
import { createProxyEngine, logFault } from "./proxy/forward/proxy-engine.js";
import { prepareSocketPath } from "./proxy/socket-path.js";
import { render } from "./render-address.js";
import { countedTwice } from "./status/call-window.js";
import { createMetrics } from "./status/metrics.js";
import type { Doors } from "./takeover/doors.js";
import { openTelemetry } from "./telemetry/open-telemetry.js";
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
export async function carryHere(
  config: ProxyConfig,
  parts: Parts,
  feed: ProxyFeed | undefined,
  signal: AbortSignal,
): Promise<Carrying> {
  const engine = createProxyEngine(
    () => parts.clock.monotonicMs(),
    (error) => logFault(parts.log, error),
    config,
    undefined,
    parts.log,
  );
  const metrics = createMetrics(engine.counters, engine);
  metrics.reportShadow(() => parts.tally.totals);
  metrics.reportReaches(() => parts.reaches.countUnreached());
  const known = { ...parts, trust: parts.sync.trust, app: parts.registry };
  const random = { draw: Math.random, random: randomBytes };
  const options = carrierOptions(config, parts, feed);
  const outside = new Egresses(known, options.egress);
  onAbort(
    signal,
    parts.meshPorts.onChange(() => outside.portsChanged()),
  );
  const telemetry = openTelemetry({ ...parts, ...random, metrics }, config.telemetry);
  const { watch } = telemetry;
  const own = { metrics: countedTwice(metrics.proxy, parts.window), engine, watch, ...random };
  const journal = openJournal(config, parts, signal);
  metrics.reportJournal(journal);
  const carrier = new Carrier(
    {
      ...known,
      ...own,
      endpoints: outside,
      outside,
      openBudgets: openShares(parts, signal),
      journal,
      reads: new ReadWaits({ app: parts.registry, store: journal.store, clock: parts.clock }),
    },
    options,
    await openEdges(config, parts, signal),
  );
  let closed: Promise<void> | undefined;
  let tap: CallTap | undefined;
  return {
    listenInbound: (address) => carrier.listenInbound(address),
    listenOutbound: (index, address) => carrier.listenOutbound(index, address),
    whenIdle: (signal) => carrier.whenIdle(signal),
    drain: () => carrier.drain(),
    close: async () => {
      carrier.close();
      closed ??= telemetry.close();
      await closed;
    },
    reasonsNotReady: () => [],
    metrics,
    countCalls: async () => metrics.calls.kinds(),
    tap: (taps, tell) => {
      tap ??= new CallTap(parts.clock, tell);
      tap.want(taps);
      telemetry.show(taps.length === 0 ? null : tap);
    },
  };
}

/** Opens a gateway's listeners. Their code is loaded only for gateways. */
async function openEdges({ edge, service }: ProxyConfig, parts: Parts, signal: AbortSignal): Promise<MakeEdge[]> {
  if (edge === undefined) return [];
  const { openListeners } = await import("./edge/open-listeners.js");
  return openListeners(edge, service, { ...parts, trust: parts.sync.trust, isAdmitted: false }, signal);
}

/** Carries writes through the journal of the proxy's own service. */
function openJournal({ service }: ProxyConfig, parts: Parts, signal: AbortSignal): Journal {
  const { sync, bus, identity, statements, reader, clock, policy, log, tookOver } = parts;
  const keys = (): KeySet => keysOf(sync.trusting);
  const holder = () => sync.trusting?.body.journalHolder;
  const random = pooledRandomBytes;
  return new Journal(
    { bus, identity, statements, reader, keys, holder, clock, policy, log, tookOver, random, signal },
    service,
  );
}

/** Opens the budgets that are shared with the other proxies of the service. */
function openShares(parts: Parts, signal: AbortSignal): OpenBudgets {
  const loop = new ShareLoop(new NatsLimitExchange(parts, signal), parts.clock);
  void loop.run(signal);
  return loop.openBudgets;
}

/**
 * Starts the workers, which carry the calls. `signal` stops the start; `life` stops the sharing of limits with other
 * proxies. Fails with `unavailable` if the workers end as soon as they start, and with an
 * `AbortError` if `signal` aborts before they carry calls.
 */
export async function carryInWorkers(
  config: ProxyConfig,
  parts: Parts,
  workers: WorkerCarrier,
  { logFormat }: ProxySurroundings,
  feed: ProxyFeed | undefined,
  signal: AbortSignal,
  life: AbortSignal,
): Promise<Carrying> {
  const { identity, endpoints, registry, sync, decisions, bus } = parts;
  const limits = new NatsLimitExchange(parts, life);
  const known = { identity, policy: sync.policy, endpoints, app: registry, sync, decisions, limits, bus };
  const log = { level: config.logLevel, format: logFormat, name: `proxy ${config.service}` };
  const { rootPublicKey } = identity.bootstrap;
  const { messageBytesMax, headerBytesMax, keepaliveMs } = config;
  const engine = {
    bufferBytesMax: Math.ceil(config.bufferBytesMax / config.workers),
    messageBytesMax,
    headerBytesMax,
    keepaliveMs,
  };
  const { edge, service } = config;
  try {
    const options = carrierOptions(config, parts, feed);
    const journalLife = randomBytes(processLifeBytes).toString("hex");
    const setup = {
      options,
      engine,
      rootPublicKey,
      log,
      workers: config.workers,
      journalLife,
      tookOver: parts.tookOver,
    };
    if (edge !== undefined) {
      const { EdgeAdmission } = await import("./edge/edge-admission.js");
      const { readFiles } = await import("./edge/open-listeners.js");
      await readFiles(edge, parts.log); // what is wrong with them is said once, and not by each worker
      workers.admitClients(new EdgeAdmission(sync.policy, { edge, service }, parts.clock));
    }
    workers.followPorts(parts.meshPorts);
    await workers.start(known, { ...setup, edge }, signal);
    signal.throwIfAborted(); // nobody is told of a proxy that ends before it carried a call
  } catch (error) {
    await workers.close();
    throw error;
  }
  return workers;
}

function carrierOptions(
  config: ProxyConfig,
  { identity, meshPorts }: Parts,
  feed: ProxyFeed | undefined,
): CarrierOptions & { readonly egress: EgressOptions } {
  const { service, labels, inbound, upstreams, recordShare, telemetry } = config;
  const outbounds = config.outbound === undefined ? [] : [undefined, ...upstreams.map(({ service }) => service)];
  const { mesh, version } = identity.current;
  const { keys, dns } = config.egress;
  const gateway = gatewayNameIn(service);
  const { current, contacts } = identity;
  const controlPlanes = contacts.map(({ address }) => address);
  meshPorts.add(config, placesOfMesh(current.natsServers, controlPlanes));
  const egress = { keys, dns: dns.map(render), own: meshPorts.all, ...(gateway === undefined ? {} : { gateway }) };
  const known = { mesh, version, service, labels, outbounds, recordShare, telemetry, egress };
  return { ...known, inbound: inbound !== undefined, feed: feed?.path };
}

/** The addresses of the listeners for calls, with their real ports. */
export interface BoundListeners {
  /** The inbound listener; undefined: calls of other proxies are not accepted. */
  readonly inbound: HostPort | undefined;
  /** The listeners of a gateway by name. */
  readonly edges: readonly (readonly [string, SocketAddress])[];
}

/** Opens every listener for calls. */
export async function listenForCalls(
  config: ProxyConfig,
  carrying: Carrying,
  doors: Doors,
  { log, meshPorts }: Pick<Parts, "log" | "meshPorts">,
): Promise<BoundListeners> {
  const { upstreams } = config;
  const listenInbound = (address: HostPort): Promise<HostPort> => carrying.listenInbound(address);
  const inbound =
    config.inbound && (await listenAgain(listenInbound, await doors.at("inbound", config.inbound), config.dataDir));
  const names = ["outbound", ...upstreams.map((one) => `upstream ${one.service} ${render(one.address)}`)];
  const own = config.outbound === undefined ? [] : [config.outbound, ...upstreams.map(({ address }) => address)];
  for (const [index, address] of own.entries()) {
    await prepareSocketPath(address, log, doors.replaces);
    await carrying.listenOutbound(index, await doors.at(names[index] ?? "", address));
  }
  const edges: (readonly [string, SocketAddress])[] = [];
  for (const [index, { name, address }] of (config.edge?.listeners ?? []).entries())
    edges.push([name, await carrying.listenOutbound(own.length + index, await doors.at(`listener ${name}`, address))]);
  const given = edges.map(([name, address]) => ({ what: `listener ${name}`, address }));
  meshPorts.add(config, [{ what: `inbound of ${config.service}`, address: inbound }, ...given]);
  return { inbound, edges };
}
