/** Puts a proxy together. Nothing else constructs its parts. */
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { ServerCredentials } from "@grpc/grpc-js";
import type { Clock } from "../runtime/clock.js";
import type { HostPort, SocketAddress } from "../runtime/config.js";
import { type GrpcServer, startGrpcServer } from "../runtime/grpc-server.js";
import { createAgentService } from "./agent/agent-service.js";
import { runStaticApplication } from "./agent/static-application.js";
import { closeParts, joinOrLoad, openParts, type Parts, type ProxySurroundings } from "./app-parts.js";
import type { ProxyConfig } from "./config.js";
import { listenAgain } from "./inbound-port.js";
import { drain, drainDefaults } from "./proxy/drain.js";
import { keyOf } from "./proxy/endpoint-choice.js";
import { Inbound } from "./proxy/inbound.js";
import { Outbound, type OutboundDeps } from "./proxy/outbound.js";
import { prepareSocketPath } from "./proxy/socket-path.js";
import { openStatusServer } from "./status/http.js";
import { createMetrics } from "./status/metrics.js";
import { reasonsNotReady } from "./status/readiness.js";

export interface RunningProxy {
  /** For people and scripts: "inbound=HOST:PORT agent=unix:PATH outbound=unix:PATH". */
  readonly listening: string;
  /** Resolves when it has stopped, after `signal` aborted. */
  readonly stopped: Promise<void>;
}

const admitAgainEveryMs = 30_000;
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

/** What the listeners made, to be wound down together. */
interface Listening {
  readonly inbound: Inbound | undefined;
  readonly outbounds: readonly Outbound[];
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
    const metrics = createMetrics(parts.engine.counters);
    const common = { ...parts, policy: parts.sync.policy, metrics: metrics.proxy, random: randomBytes };
    const inbound = openInbound(config, common);
    if (inbound !== undefined) closers.push(() => inbound.close());
    const bound =
      config.inbound === undefined || inbound === undefined
        ? undefined
        : await listenAgain((address) => inbound.listen(address), config.inbound, config.dataDir);
    const outbounds = await openOutbounds(config, { ...common, pool: parts.peers, draw: Math.random }, closers);
    const listening: Listening = {
      inbound,
      outbounds,
      agent: await openAgent(config, parts, inbound, bound),
      closers,
      draining: false,
    };
    if (listening.agent !== undefined) closers.push(() => void listening.agent?.stop(0));
    await openStatus(config, parts, listening, metrics);
    follow(parts, listening);
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
      stopped: waitForAbort(signal).then(() => stop(config, parts, listening, life)),
    };
  } catch (error) {
    for (const close of closers) close();
    throw error;
  }
}

function openInbound(
  config: ProxyConfig,
  common: Parts & Pick<OutboundDeps, "policy" | "metrics" | "random">,
): Inbound | undefined {
  if (config.inbound === undefined) return undefined;
  const deps = { ...common, app: common.registry, pool: common.applications };
  return new Inbound(deps, { service: config.service, labels: config.labels });
}

async function openOutbounds(
  config: ProxyConfig,
  deps: OutboundDeps & Pick<Parts, "identity">,
  closers: (() => void)[],
): Promise<readonly Outbound[]> {
  const { mesh } = deps.identity.current;
  const outbounds: Outbound[] = [];
  const wanted: readonly { service: string | undefined; address: SocketAddress }[] = [
    { service: undefined, address: config.outbound },
    ...config.upstreams,
  ];
  for (const { service, address } of wanted) {
    await prepareSocketPath(address, deps.log);
    const outbound = new Outbound(deps, { mesh, service });
    closers.push(() => outbound.close());
    await outbound.listen(address);
    outbounds.push(outbound);
  }
  return outbounds;
}

async function openAgent(
  config: ProxyConfig,
  parts: Parts,
  inbound: Inbound | undefined,
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
    drained: () => drainApplication(clock, inbound),
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
async function drainApplication(clock: Clock, inbound: Inbound | undefined): Promise<void> {
  await clock.sleep(drainDefaults.discourageMs);
  await inbound?.open.whenNone(AbortSignal.timeout(leaveMsMax));
}

async function openStatus(
  config: ProxyConfig,
  { sync, identity, registry, clock }: Parts,
  listening: Listening,
  metrics: ReturnType<typeof createMetrics>,
): Promise<void> {
  const serves = config.app !== undefined || config.agent !== undefined;
  const reasons = (): readonly string[] =>
    reasonsNotReady({
      draining: listening.draining,
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
  listening.closers.push(() => server.close());
}

/** Acts on renewals, trust, and endpoints and applications that come and go. */
function follow({ identity, sync, tls, peers, applications, registry, endpoints }: Parts, listening: Listening): void {
  const { inbound, closers } = listening;
  const closeUntrusted = (): void => peers.closeWhere((socket) => !tls.isVerified(socket));
  const admitAgain = setInterval(() => {
    inbound?.admitAgain();
    closeUntrusted(); // certificates expire on open connections, in both roles
  }, admitAgainEveryMs).unref();
  closers.push(
    () => clearInterval(admitAgain),
    identity.onRotate(() => {
      inbound?.refreshTls();
      peers.retireAll();
    }),
    sync.trust.onChange(() => {
      inbound?.refreshTls();
      closeUntrusted();
      peers.retireAll();
    }),
    endpoints.onChange((service) => {
      const live = new Set(endpoints.endpoints(service).map((endpoint) => keyOf(service, endpoint)));
      peers.evict((key) => !key.startsWith(`${service} `) || live.has(key));
    }),
    registry.onChange(() => applications.evict(() => false)),
  );
}

async function stop(config: ProxyConfig, parts: Parts, listening: Listening, life: AbortController): Promise<void> {
  const { inbound, outbounds, closers } = listening;
  const whole = await drain(
    {
      unready: () => {
        listening.draining = true;
      },
      withdraw: () => parts.reporter.leave(),
      finish: () => Promise.all([inbound?.drain(), ...outbounds.map((outbound) => outbound.drain())]).then(() => {}),
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
