/** Starts the loops that follow the fleet and publish the heads of the logs. */
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import type { Cleanup } from "../cleanup.js";
import type { DataFolder } from "../data-folder.js";
import { ControlPlanes } from "../freshness/control-planes.js";
import { type FreshnessDeps, runFreshness } from "../freshness/freshness-loop.js";
import type { Authority } from "../identity/authority.js";
import { NatsServers } from "../nats/nats-servers.js";
import type { OpenedNats } from "../nats/open-nats.js";
import { runRegistryLoop } from "../registry/registry-loop.js";
import { RegistryState } from "../registry/registry-state.js";
import { ExpectedProxies } from "./expected-proxies.js";
import { runFleetLoop } from "./fleet-loop.js";
import { FleetState } from "./fleet-state.js";
import { type Problem, problemsAbout } from "./problems.js";
import { runReachLog } from "./reach-log.js";
import { readRoster, runRosterSaver } from "./roster-file.js";

export interface FollowingBase {
  readonly log: Logger;
  readonly clock: Clock;
  readonly cleanup: Cleanup;
  readonly folder: Pick<DataFolder, "path">;
  readonly authority: Pick<Authority, "name">;
}

/**
 * Starts the loops for heartbeats, the saved roster, endpoints and freshness statements, and returns what they keep up
 * to date.
 */
export function startFollowing(
  { log, clock, cleanup, folder, authority }: FollowingBase,
  access: OpenedNats["access"],
  freshness: FreshnessDeps,
  reader: StatementReader,
) {
  const { bus } = access;
  const state = new FleetState();
  state.restore(readRoster(folder.path, log), clock.nowMs());
  const fleet = runFleetLoop({ state, bus, clock, log, reader });
  fleet.trustChanged();
  const stopTrust = freshness.ledger.trust.onRecord(() => fleet.trustChanged());
  cleanup.add(() => {
    stopTrust();
    fleet.close();
  });
  const expected = new ExpectedProxies();
  fleet.onChange((entry) => {
    if (entry !== undefined) expected.heard(entry.heartbeat.proxyId);
  });
  const registry = new RegistryState();
  const stop = new AbortController();
  const loops = [
    runRosterSaver({ dir: folder.path, roster: fleet.list, clock, log }, stop.signal),
    runRegistryLoop({ state: registry, bus, clock, log, reader }, stop.signal),
    runFreshness(freshness, stop.signal),
    runReachLog({ clock, log, problems: () => registry.avoided(fleet.list(), clock.nowMs()) }, stop.signal),
  ];
  cleanup.add(async () => {
    stop.abort();
    await Promise.all(loops);
  });
  const planes = new ControlPlanes({ ...freshness, bus, self: authority.name }, stop.signal);
  const natsServers = new NatsServers({ servers: () => access.servers, clock }, stop.signal);
  return { state, fleet, expected, registry, planes, natsServers };
}

/** Returns problems of the connection to NATS and of a full roster. */
export function followProblems(
  state: FleetState,
  { connected, refusal }: Pick<Bus, "connected" | "refusal">,
): readonly Problem[] {
  const why = refusal === undefined ? "NATS is away" : `NATS refuses our credentials (${refusal})`;
  const away = `${why}: nothing can be published or activated, and heartbeats do not arrive`;
  const { turnedAway } = state;
  const full = `the roster is full: ${turnedAway} heartbeats of further proxies found no room`;
  return [
    ...problemsAbout("nats-away", connected ? [] : [away]),
    ...problemsAbout("roster-full", turnedAway > 0 ? [full] : []),
  ];
}
