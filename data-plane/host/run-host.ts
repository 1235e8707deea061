/** Runs the proxies of a process from its settings until it is told to stop or a successor has taken over. */
import { text } from "node:stream/consumers";
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { systemClock } from "../../runtime/clock.js";
import { beginWarming, endLoading } from "../../runtime/loading-flags.js";
import { createLogger, type LogFormat, type Logger } from "../../runtime/log.js";
import { openStatusServer, type StatusServer } from "../../runtime/status-server.js";
import type { RunningProxy } from "../app.js";
import type { ProxyConfig } from "../config.js";
import { MeshPorts } from "../egress/mesh-ports.js";
import { renderListening } from "../listening.js";
import { render } from "../render-address.js";
import { createProcessMetrics } from "../status/metrics.js";
import { shareProcesses } from "../workers/shared-processes.js";
import { forkProcess } from "../workers/worker-process.js";
import { createControl } from "./control.js";
import { type ControlServer, openControlServer } from "./control-server.js";
import { Host } from "./host.js";
import type { HostConfig } from "./host-config.js";
import { KeptServices } from "./kept-services.js";
import { mergedStatus } from "./merged-status.js";
import { parseServiceSettings } from "./service-settings.js";
import { type ListedService, readServicesFile } from "./services-file.js";

/** The milliseconds for which a process that hands its services over may keep the port of --status. */
const predecessorMsMax = 10_000;
const lookMs = 50;

/** Runs until every proxy has stopped. Fails if the first service, or all services of a file, cannot start. */
export async function runHost(config: HostConfig, format: LogFormat, log: Logger, signal: AbortSignal): Promise<void> {
  const { primary } = config;
  const kept = new KeptServices(config.dataDir);
  const further = await furtherServices(config, kept, log);
  const failed = new AbortController();
  const meshPorts = new MeshPorts();
  for (const one of [...(primary === undefined ? [] : [primary]), ...further]) meshPorts.add(one); // before the first calls
  const others = () => host.services.filter(({ service }) => service !== primary?.service);
  const host: Host = new Host(
    {
      log,
      clock: systemClock,
      random: Math.random,
      logOf: (service) =>
        service === primary?.service ? log : createLogger({ level: config.logLevel, format, name: `proxy ${service}` }),
      surroundings: {
        logFormat: format,
        meshPorts,
        spawnWorker: shareProcesses(forkProcess, config.warm),
        readStdin: () => text(process.stdin),
        ...(primary === undefined ? {} : { besides: (own) => mergedStatus(own, primary.service, others) }),
      },
    },
    AbortSignal.any([signal, failed.signal]),
  );
  const own = [...(primary === undefined ? [] : [primary]), ...further];
  // workers carry the calls of the other services and warm up themselves
  if (config.warm && (own.length === 0 || own.some(({ workers }) => workers === 1))) await warmUpHere(log, signal);
  try {
    const running = primary === undefined ? undefined : await host.add(primary);
    if (primary !== undefined && running === undefined) return; // asked to stop before it had joined
    const adding = host.addAll(further);
    if (primary === undefined) await adding;
    endLoading();
    await serve(config, host, kept, running, log);
  } catch (error) {
    failed.abort(); // those that serve already drain
    await host.over;
    throw error;
  }
}

/** Warms up once for all services of the process, before the first one joins, because nobody can call it yet. */
async function warmUpHere(log: Logger, signal: AbortSignal): Promise<void> {
  const { warmUp } = await import("../warm/warm-up.js");
  beginWarming();
  const { calls, tookMs, problem } = await warmUp(signal);
  if (problem === undefined) log.info("warmed up", { calls, tookMs });
  else log.warn("warming up ended early: the first calls cost more", { calls, tookMs, problem });
}

/** Opens what belongs to the process, reports that it is ready, and resolves when every proxy has stopped. */
async function serve(
  config: HostConfig,
  host: Host,
  kept: KeptServices,
  running: RunningProxy | undefined,
  log: Logger,
): Promise<void> {
  const status = config.primary === undefined ? await serveAlone(config, host, log) : undefined;
  const closers: { close(): void }[] = status === undefined ? [] : [status];
  if (config.primary?.edge === undefined) closers.push(await openControl(config, host, kept, log));
  process.stdout.write(
    running === undefined ? describeAll(host, status) : `ready ${renderListening(running.listening)}\n`,
  );
  await Promise.race([host.over, host.succeeded]); // a successor wants the port of --status
  for (const one of closers) one.close();
  await host.over;
}

/**
 * Returns what is to run beside the first service: the services of the file, and those that were added. The file takes
 * precedence.
 */
async function furtherServices(config: HostConfig, kept: KeptServices, log: Logger): Promise<readonly ProxyConfig[]> {
  const listed = config.servicesFile === undefined ? [] : await readServicesFile(config.servicesFile);
  const configs = new Map<string, ProxyConfig>();
  const faults: string[] = [];
  if (config.primary !== undefined) configs.set(config.primary.service, config.primary);
  const take = ({ settings, place }: ListedService): void => {
    const parsed = parseServiceSettings(settings, config.settings, place, process.cwd());
    if (configs.has(parsed.service))
      throw new AshlarError(
        "invalid_argument",
        `${place}: ${parsed.service} stands here or on the command line already`,
      );
    configs.set(parsed.service, parsed);
  };
  for (const one of listed) {
    try {
      take(one);
    } catch (error) {
      faults.push(wordsOf(error));
    }
  }
  if (faults.length > 0) throw new AshlarError("invalid_argument", faults.join("\n"));
  for (const name of config.primary?.edge === undefined ? await kept.names() : []) {
    if (configs.has(name)) continue;
    try {
      take(kept.read(name));
    } catch (error) {
      log.warn("a service that was added is not started", { service: name, why: wordsOf(error) });
    }
  }
  return [...configs.values()].filter((one) => one !== config.primary);
}

/** Opens --status for a process whose services are all in a file. Fails with `unavailable` if none of them runs. */
async function serveAlone(config: HostConfig, host: Host, log: Logger): Promise<StatusServer | undefined> {
  const all = host.services;
  if (all.length > 0 && all.every(({ state }) => state === "failed"))
    throw new AshlarError("unavailable", all.map(({ service, why }) => `${service}: ${why}`).join("\n"));
  if (config.status === undefined) return undefined;
  const { status: address } = config;
  const own = { reasonsNotReady: () => [], problems: () => [], metrics: createProcessMetrics() };
  const sources = mergedStatus(own, undefined, () => host.services);
  return whenFree(() => openStatusServer(sources, address, log));
}

async function openControl(config: HostConfig, host: Host, kept: KeptServices, log: Logger): Promise<ControlServer> {
  try {
    return await openControlServer(config.dataDir, createControl({ config, host, kept, log }), log);
  } catch (error) {
    log.warn("no service can be added to this proxy while it runs", { why: wordsOf(error) });
    return { close: () => {} };
  }
}

/** Returns all lines of an error: there is one for each invalid setting. */
function wordsOf(error: unknown): string {
  return isAshlarError(error) ? error.message : messageOf(error);
}

/** Opens --status once the port is free: a predecessor keeps it until it has handed over its last service. */
async function whenFree(open: () => Promise<StatusServer>): Promise<StatusServer> {
  const untilMs = systemClock.monotonicMs() + predecessorMsMax;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (systemClock.monotonicMs() > untilMs) throw error;
      await systemClock.sleep(lookMs);
    }
  }
}

function describeAll(host: Host, status: StatusServer | undefined): string {
  const lines = host.services.map(({ service, state, running }) => {
    return `${service} ${running === undefined ? state : renderListening(running.listening)}\n`;
  });
  const told = status === undefined ? "" : ` status=${render(status.address)}`;
  return `${lines.join("")}ready${told}\n`;
}
