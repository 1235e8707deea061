/** Serves a control plane's health and metrics on the address of `--status`. */
import type { HostPort } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import { openStatusServer, type StatusServer } from "../../runtime/status-server.js";
import { type MeshStatusDeps, meshStatus } from "../fleet/mesh-status.js";
import { type ProblemCode, problemsAbout } from "../fleet/problems.js";
import type { JournalFigures } from "../journal/seal-journals.js";
import type { ControlMetrics, MeshFigures } from "./control-metrics.js";
import { followPrepareTimes } from "./prepare-times.js";

export interface ControlStatusDeps extends MeshStatusDeps {
  readonly log: Logger;
  readonly metrics: ControlMetrics;
  readonly clock: { nowMs(): number; monotonicMs(): number };
  readonly bus: { readonly connected: boolean };
  readonly members: { addresses(): readonly string[] };
  readonly journals: { figures(): readonly JournalFigures[] };
  readonly planes: { readonly there: number; readonly gone: number };
  readonly natsServers: { readonly silent: number };
}

/** Opens the status server. Fails with `unavailable` if the port is taken. */
export async function openControlStatus(deps: ControlStatusDeps, wanted: HostPort): Promise<StatusServer> {
  const { ledger, bus, members, metrics, planes, natsServers } = deps;
  const sources = {
    mesh: () => figuresOf(deps),
    controlPlanes: () => Math.max(members.addresses().length, planes.there + planes.gone),
    controlPlanesSilent: () => planes.gone,
    natsServersSilent: () => natsServers.silent,
    isNatsConnected: () => bus.connected,
    journals: () => deps.journals.figures(),
  };
  const server = await openStatusServer(
    {
      reasonsNotReady: () => (bus.connected ? [] : ["it is not connected to NATS"]),
      problems: () => [...problemsAbout("log", ledger.problems()), ...deps.problems()].map(({ message }) => message),
      metrics: (format) => metrics.render(sources, format),
    },
    wanted,
    deps.log,
  );
  const stopTimes = followPrepareTimes({
    ...deps,
    revisions: ledger.revisions,
    monotonicMs: () => deps.clock.monotonicMs(),
    prepared: (tookMs) => metrics.prepared(tookMs),
  });
  return {
    ...server,
    close: () => {
      stopTimes();
      return server.close();
    },
  };
}

async function figuresOf(deps: ControlStatusDeps): Promise<MeshFigures> {
  const status = await meshStatus(deps, deps.clock.nowMs());
  const avoided = deps.registry.avoided(deps.fleet.list(), deps.clock.nowMs());
  const count = (what: ProblemCode): number => avoided.filter(({ code }) => code === what).length;
  const live = deps.fleet.list().filter((entry) => entry.live);
  const switched = live.filter(({ heartbeat }) => heartbeat.evaluatingEpoch === status.epoch && status.epoch > 0);
  return {
    ...status,
    outOfReach: count("endpoint-out-of-reach"),
    ejected: count("instance-ejected"),
    rolloutStage: status.rollout?.stage ?? 0,
    switchMs: switched.map(({ heartbeat }) => heartbeat.lagMs),
  };
}
