/** The two sides of a takeover: what a successor does until it serves, and what the predecessor hands over. */

import { inheritFolder } from "../../runtime/folder-lock.js";
import { agentDefaults } from "../agent/agent-service.js";
import type { Parts } from "../app-parts.js";
import type { ProxyConfig } from "../config.js";
import { counterAhead } from "../identity/statements.js";
import type { AppRegistration } from "../ports.js";
import type { Doors } from "./doors.js";
import type { Predecessor } from "./predecessor.js";
import { openTakeover, type TakeoverServer } from "./takeover-server.js";

/** How long a successor waits at most until it knows what its predecessor knew, in milliseconds. */
const fetchMsMax = 3000;
const lookMs = 25;
/** A statement about the heads of the logs younger than this is as good as the predecessor's, in milliseconds. */
const freshMsMax = 10_000;

/** Follows the logs until this process knows what its predecessor knows, but at most 3 s, since NATS may be away. */
export async function catchUpWithPredecessor(
  { sync, policy, endpoints, clock, registry }: Parts,
  { service, app }: Pick<ProxyConfig, "service" | "app">,
): Promise<void> {
  sync.start();
  const untilMs = clock.monotonicMs() + fetchMsMax;
  const isThere = (): boolean =>
    policy.freshnessAgeMs < freshMsMax && (app === undefined || registry.current !== undefined);
  while (!isThere() && clock.monotonicMs() < untilMs) await clock.sleep(lookMs);
  await endpoints.ready(service);
}

/**
 * Registers the application that an SDK registered with the predecessor. Calls arrive before the SDK registers here,
 * which takes a moment. An application that does not register is removed after its lease.
 */
export function inheritApplication(
  { registry, clock, log }: Pick<Parts, "registry" | "clock" | "log">,
  app: AppRegistration,
  signal: AbortSignal,
): void {
  const entry = registry.register(app, () => {});
  const ended = new AbortController();
  const stop = registry.onChange((current) => {
    if (current === app) return;
    stop();
    ended.abort();
    entry.remove();
  });
  void clock.sleep(agentDefaults.leaseMs, AbortSignal.any([ended.signal, signal])).then(() => {
    if (ended.signal.aborted || signal.aborted) return;
    const names = { instance: app.instance, ...app.target };
    log.warn("the application did not register after a takeover: it is out of routing", names);
    entry.remove();
  });
}

/**
 * Takes name and sockets over from the predecessor, which then drains. Fails with `unavailable`; see
 * `Predecessor.take`.
 */
export async function takeOver(
  predecessor: Predecessor,
  { tenure, log }: Pick<Parts, "tenure" | "log">,
  doors: Doors,
  dataDir: string,
): Promise<void> {
  await predecessor.take();
  await inheritFolder(dataDir);
  tenure.begin();
  doors.replace();
  log.info("took over from the proxy that ran on this data folder, which drains");
  void predecessor.drain();
}

/** Lets a successor take this proxy over. */
export function openOwnTakeover(config: ProxyConfig, parts: Parts, doors: Doors): Promise<TakeoverServer> {
  const { tenure, reporter, statements, clock, log, registry } = parts;
  let counter = 0;
  return openTakeover({
    doors,
    clock,
    log,
    dataDir: config.dataDir,
    service: config.service,
    hold: async () => {
      await Promise.all([tenure.hold(), reporter.hold()]);
      counter = counterAhead(statements, clock.nowMs());
      return counter;
    },
    goOn: () => {
      tenure.begin();
      reporter.goOn();
    },
    app: () => (config.app === undefined ? registry.advertised : undefined),
    yield: () => {
      tenure.end();
      reporter.stop();
      statements.endAt(counter);
      const { current } = registry;
      if (current !== undefined) registry.register(current, () => {}); // calls that come still are served
    },
  });
}
