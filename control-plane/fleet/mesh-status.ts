/** The state of the mesh for the admin API. */
import { revisionInForce } from "../../core/rollout/cohort.js";
import type { GetStatusResponse } from "../../proto/gen/ashlar/v1/admin.js";
import type { PolicyReader } from "../publish/policy-reader.js";
import type { RegistryState } from "../registry/registry-state.js";
import { renderRollout } from "../rollout/rollout-methods.js";
import type { Rollouts } from "../rollout/rollouts.js";
import type { Ledger } from "../store/ledger.js";
import { emptyRoutes } from "./empty-routes.js";
import type { ExpectedProxies } from "./expected-proxies.js";
import type { FleetView } from "./fleet-loop.js";
import { buildFleetStatus } from "./fleet-status.js";
import { type Problem, problemsAbout } from "./problems.js";

export interface MeshStatusDeps {
  readonly mesh: string;
  readonly ledger: Ledger;
  readonly policy: Pick<PolicyReader, "activeRoutes" | "activeDirectReads">;
  readonly rollouts: Pick<Rollouts, "running">;
  readonly fleet: FleetView;
  /** Proxies with an identity that were never heard from. */
  readonly expected: ExpectedProxies;
  readonly registry: Pick<RegistryState, "served" | "avoided" | "hung">;
  /** Returns the problems of this control plane itself. */
  readonly problems: () => readonly Problem[];
}

export async function meshStatus(deps: MeshStatusDeps, nowMs: number): Promise<GetStatusResponse> {
  const { ledger } = deps;
  const routed = await deps.policy.activeRoutes();
  const head = ledger.activations.head()?.body;
  const newest = ledger.revisions.head();
  const running = deps.rollouts.running();
  const entries = deps.fleet.list();
  const { problems, bypassable, ...counts } = buildFleetStatus(
    { entries, missing: deps.expected.missing(nowMs) },
    head,
    newest?.digest,
    nowMs,
  );
  // before any proxy runs, no calls can be lost on an empty route
  const empty = routed.length === 0 || counts.total === 0 ? [] : emptyRoutes(routed, deps.registry.served(entries));
  const avoided = deps.registry.avoided(entries, nowMs);
  const hung = deps.registry.hung(entries, nowMs);
  const all = [
    ...problemsAbout("log", ledger.problems()),
    ...deps.problems(),
    ...problems,
    ...empty,
    ...avoided,
    ...hung,
  ];
  return {
    mesh: deps.mesh,
    epoch: head?.epoch ?? 0,
    revision: head === undefined ? 0 : revisionInForce(head).number,
    headRevision: newest?.body.number ?? 0,
    ...counts,
    healthy: all.length === 0,
    problems: all.map(({ message }) => message),
    problemDetails: all.map((problem) => ({ ...problem })),
    bypassable: [...bypassable],
    trustSequence: ledger.trust.head()?.body.sequence ?? 0,
    rollout: running && renderRollout(running),
    directReads: [...(await deps.policy.activeDirectReads())],
  };
}
