/** Constructs a proxy from its parts, starts it and drains it. */
import { dirname } from "node:path";
import { ServerCredentials } from "@grpc/grpc-js";
import { AshlarError } from "../core/errors.js";
import { whenAborted } from "../runtime/abort.js";
import type { Clock } from "../runtime/clock.js";
import type { HostPort } from "../runtime/config.js";
import { type GrpcServer, startGrpcServer } from "../runtime/grpc-server.js";
import { openStatusServer, type StatusSources } from "../runtime/status-server.js";
import { agentBounds, createAgentService } from "./agent/agent-service.js";
import { runApplicationHealth } from "./agent/application-health.js";
import { createDirectReads } from "./agent/direct-reads.js";
import { runStaticApplication } from "./agent/static-application.js";
import { carryHere, carryInWorkers, listenForCalls, prepareWorkers } from "./app-carrying.js";
import { closeParts, joinOrLoad, openParts, type Parts, type ProxySurroundings } from "./app-parts.js";
import type { ProxyConfig } from "./config.js";
import { openProxyFeed, type ProxyFeed } from "./feed/proxy-feed.js";
import { type Listening, listeningOf, renderListening } from "./listening.js";
import { tellOfCalls } from "./look/call-teller.js";
import { HeardOrders } from "./look/heard-orders.js";
import type { Carrying } from "./proxy/carrying.js";
import { drain, drainDefaults } from "./proxy/drain.js";
import { prepareSocketPath } from "./proxy/socket-path.js";
import { render } from "./render-address.js";
import { reasonsNotReady } from "./status/readiness.js";
import { Doors } from "./takeover/doors.js";
import { catchUpWithPredecessor, inheritApplication, openOwnTakeover, takeOver } from "./takeover/take-over.js";
import type { TakeoverServer } from "./takeover/takeover-server.js";
import { Tenure } from "./takeover/tenure.js";

export interface RunningProxy {
  /** The addresses that it listens on, by name: "inbound" has HOST:PORT, "agent" unix:PATH. */
  readonly listening: Listening;
  /** The sources of /healthz, /readyz and /metrics. */
  readonly status: StatusSources;
  /** Resolves when a successor has taken over and this process drains. */
  readonly handedOver: Promise<void>;
  /** Resolves when it has stopped, after `signal` aborted or a successor took over. */
  readonly stopped: Promise<void>;
}

const leaveMsMax = 60_000;

/**
 * Joins the mesh (or reads the stored identity), opens every listener, serves until `signal` aborts, and then drains.
 * Returns undefined if `signal` aborted before the proxy had joined. Fails with one line that says what to do.
 */
export async function startProxy(
  config: ProxyConfig,
  surroundings: ProxySurroundings,
  signal: AbortSignal,
): Promise<RunningProxy | undefined> {
  const { predecessor } = surroundings;
  const life = new AbortController(); // ends after draining, not when asked to stop
  const tenure = new Tenure(predecessor === undefined ? "owner" : "waiting");
  try {
    const identity = await joinOrLoad(config, surroundings, tenure, signal, life.signal);
    const workers = prepareWorkers(config, surroundings);
    const parts = await openParts(config, identity, surroundings, tenure, workers, life.signal);
    try {
      const { why } = parts.revocation;
      if (why !== undefined) throw new AshlarError("unauthenticated", why);
      const feed = await openProxyFeed(config, parts, life.signal);
      const carrying =
        workers === undefined
          ? await carryHere(config, parts, feed, life.signal)
          : await carryInWorkers(config, parts, workers, surroundings, feed, signal, life.signal);
      return await serve(config, parts, carrying, feed, surroundings, life, signal);
    } catch (error) {
      if (!tenure.isOwner) tenure.end(); // nothing waits to be written any more
      await closeParts(parts);
      throw error;
    }
  } catch (error) {
    predecessor?.close();
    life.abort();
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** What was opened on top of the parts and is closed with them. */
interface Serving {
  readonly carrying: Carrying;
  readonly feed: ProxyFeed | undefined;
  readonly agent: GrpcServer | undefined;
  readonly closers: (() => void)[];
  readonly doors: Doors;
  /** undefined until it serves. */
  takeover: TakeoverServer | undefined;
  draining: boolean;
}

async function serve(
  config: ProxyConfig,
  parts: Parts,
  carrying: Carrying,
  feed: ProxyFeed | undefined,
  surroundings: ProxySurroundings,
  life: AbortController,
  signal: AbortSignal,
): Promise<RunningProxy> {
  const { predecessor } = surroundings;
  const closers: (() => void)[] = [];
  const doors = new Doors(predecessor);
  try {
    followApplication(config, parts, surroundings, closers, signal);
    if (predecessor === undefined) parts.sync.start();
    else await catchUpWithPredecessor(parts, config);
    const listeners = await listenForCalls(config, carrying, doors, parts);
    const bound = listeners.inbound;
    const agent = await openAgent(config, parts, carrying, doors, bound);
    const orders = new HeardOrders({ ...parts, mesh: parts.identity.current.mesh }, life.signal);
    tellOfCalls({ ...parts, carrying, orders, random: Math.random }, life.signal);
    const serving: Serving = { carrying, feed, agent, closers, doors, takeover: undefined, draining: false };
    closers.push(() => void agent?.stop(0));
    const status = await openStatus(config, parts, serving, surroundings);
    if (predecessor !== undefined) await takeOver(predecessor, parts, doors, config.dataDir);
    parts.reporter.start(render(config.advertise ?? bound ?? { host: "127.0.0.1", port: 0 }));
    const takeover = await openOwnTakeover(config, parts, doors);
    serving.takeover = takeover;
    closers.push(() => takeover.close());
    const listening = listeningOf(config, listeners);
    parts.log.info("serving", {
      ...namesOf(parts),
      listening: renderListening(listening),
      workers: config.workers,
    });
    const { handedOver } = takeover;
    const toStop = Promise.race([whenAborted(signal), handedOver]);
    return { listening, status, handedOver, stopped: toStop.then(() => stop(config, parts, serving, life)) };
  } catch (error) {
    for (const close of closers) close();
    doors.removePaths();
    await carrying.close();
    throw error;
  }
}

/** Registers the application of `--app`, or the one at the predecessor's agent, and checks its health. */
function followApplication(
  config: ProxyConfig,
  parts: Parts,
  { predecessor }: ProxySurroundings,
  closers: (() => void)[],
  signal: AbortSignal,
): void {
  const closing = new AbortController();
  closers.push(() => closing.abort());
  const following = AbortSignal.any([signal, closing.signal]);
  const { service } = config;
  if (config.edge !== undefined) {
    // a gateway has no application: it forwards calls of other proxies to external destinations
    if (config.inbound !== undefined)
      parts.registry.register({ instance: parts.identity.current.proxyId, target: { path: "" } }, () => {});
    return;
  }
  if (config.app !== undefined) {
    const app = { instance: parts.identity.current.proxyId, target: config.app };
    void runStaticApplication(parts, app, following);
  } else if (config.agent !== undefined && predecessor?.app !== undefined) {
    inheritApplication(parts, predecessor.app, following);
  }
  const health = () => parts.policy.current?.unit(service)?.resilience?.health;
  void runApplicationHealth({ ...parts, policy: health }, following);
}

async function openAgent(
  config: ProxyConfig,
  parts: Parts,
  carrying: Carrying,
  doors: Doors,
  bound: HostPort | undefined,
): Promise<GrpcServer | undefined> {
  if (config.agent === undefined) return undefined;
  const { registry, clock, log, identity, policy } = parts;
  const { path, handover } = await doors.at("agent", { path: config.agent });
  await prepareSocketPath({ path }, log, doors.replaces);
  const service = createAgentService({
    registry,
    clock,
    direct: createDirectReads(parts),
    describe: () => {
      const { mesh, service: name, version, proxyId, spiffeId } = identity.current;
      const ready = policy.current !== undefined && bound !== undefined;
      const outbound = config.outbound === undefined ? "" : render(config.outbound);
      return {
        ...{ mesh, service: name, version, proxyId, spiffeId, ready, outbound },
        socketDir: dirname(config.agent ?? ""),
      };
    },
    drained: () => drainApplication(clock, carrying),
    log,
  });
  return startGrpcServer({
    bind: `unix:${config.agent}`,
    credentials: ServerCredentials.createInsecure(),
    services: [service],
    handover,
    ...agentBounds,
    log,
    clock,
  });
}

/** Drains: peers learn that the proxy leaves while late calls are still served, then open calls finish. */
async function drainApplication(clock: Clock, carrying: Carrying): Promise<void> {
  await clock.sleep(drainDefaults.discourageMs);
  await carrying.whenIdle(AbortSignal.timeout(leaveMsMax));
}

async function openStatus(
  config: ProxyConfig,
  { sync, policy, identity, revocation, registry, decisions, clock, bus, log }: Parts,
  serving: Serving,
  { besides }: ProxySurroundings,
): Promise<StatusSources> {
  const { metrics } = serving.carrying;
  const serves = config.app !== undefined || config.agent !== undefined;
  const reasons = (): readonly string[] =>
    reasonsNotReady({
      draining: serving.draining,
      hasRevision: policy.current !== undefined,
      revoked: revocation.why,
      certificateExpiresMs: identity.current.notAfterMs,
      hasApplication: serves ? registry.advertised !== undefined : undefined,
      unhealthy: registry.unhealthy,
      nowMs: clock.nowMs(),
      carrying: serving.carrying.reasonsNotReady(),
    });
  metrics.watch({
    seenEpoch: () => policy.seenEpoch,
    evaluatingEpoch: () => policy.current?.epoch ?? 0,
    evaluatingRevision: () => policy.current?.revision ?? 0,
    freshnessAgeMs: () => policy.freshnessAgeMs,
    clockAheadMs: () => sync.clockAheadMs,
    certificateExpiresMs: () => identity.current.notAfterMs,
    nowMs: () => clock.nowMs(),
    isNatsConnected: () => bus.connected,
    refusedRecords: () => sync.refusedRecords,
    decisions: () => decisions.totals,
    isApplicationHealthy: () => registry.unhealthy === "",
    isReady: () => reasons().length === 0,
  });
  const problems = (): readonly string[] => {
    const { renewalProblem } = identity;
    return [...sync.problems(), ...(renewalProblem === undefined ? [] : [`certificate renewal: ${renewalProblem}`])];
  };
  const sources = { reasonsNotReady: reasons, problems, metrics: metrics.render };
  if (config.status === undefined) return sources;
  const told = besides?.(sources) ?? sources;
  const server = await openStatusServer(told, await serving.doors.at("status", config.status), log);
  serving.closers.push(() => server.close());
  return sources;
}

async function stop(config: ProxyConfig, parts: Parts, serving: Serving, life: AbortController): Promise<void> {
  const { carrying, feed, closers, doors, agent, takeover } = serving;
  const isHandedOver = (await takeover?.settled()) === true;
  const whole = await drain(
    {
      unready: () => {
        serving.draining = true;
      },
      withdraw: async () => {
        if (isHandedOver) return;
        await parts.reporter.leave();
        parts.log.info("left the mesh: open calls may end", { ...namesOf(parts), graceMs: config.graceMs });
      },
      finish: () => {
        if (isHandedOver) void agent?.stop(0); // the application registers with the successor
        doors.removePaths();
        feed?.end(); // readers go on at another proxy, from where they are
        return carrying.drain();
      },
      close: () => {
        for (const close of closers) close();
        parts.meshPorts.forget(config);
        void carrying.close();
      },
    },
    parts.clock,
    { ...drainDefaults, graceMs: config.graceMs },
  );
  if (!whole) parts.log.warn("calls were cut when the grace ended", { graceMs: config.graceMs });
  await carrying.close();
  await closeParts(parts);
  life.abort();
  await parts.identity.stopped;
}

function namesOf({ identity }: Pick<Parts, "identity">): Readonly<Record<string, string>> {
  const { mesh, service, version, proxyId } = identity.current;
  return { mesh, service, version, proxy: proxyId };
}
