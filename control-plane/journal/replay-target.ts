/** Checks where a journal may be replayed to, and by whom. */
import { AshlarError } from "../../core/errors.js";
import { nameIn } from "../../core/identity.js";
import { whyLive } from "../../core/journal/live-version.js";
import type { Endpoint, Unit } from "../../core/model.js";
import { revisionInForce } from "../../core/rollout/cohort.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import type { FleetEntry } from "../fleet/fleet-state.js";
import type { SnapshotStore } from "../publish/snapshot-store.js";
import type { RegistryState } from "../registry/registry-state.js";
import { rolloutBeside } from "../rollout/rollout-course.js";
import { findRevision } from "../store/find-revision.js";
import type { Ledger } from "../store/ledger.js";

export interface ReplayTargetDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "revisions" | "activations">;
  readonly snapshots: Pick<SnapshotStore, "loadUnit">;
  readonly registry: Pick<RegistryState, "served">;
  readonly fleet: { list(): readonly FleetEntry[] };
}

export interface ReplayRequest {
  readonly service: string;
  readonly version: string;
  readonly address: string;
  readonly dryRun: boolean;
}

/**
 * Returns the proxies that receive the history; none if it goes to an address outside. Fails with `invalid_argument` if
 * the target is the source or has no proxy, and with `denied` if the caller is not one of the Journal's replayers.
 */
export async function findTargets(
  deps: ReplayTargetDeps,
  request: ReplayRequest,
  caller: OperatorCaller,
): Promise<readonly Endpoint[]> {
  const { service, version, address, dryRun } = request;
  if ((version === "") === (address === "")) throw new AshlarError("invalid_argument", "name a version or an address");
  const units = await unitsInForce(deps, service);
  if (!dryRun) for (const unit of units) requireReplayer(unit, service, caller, deps.mesh);
  const served = deps.registry.served(deps.fleet.list());
  if (address !== "") {
    const proxy = [...served.values()].flat().find((endpoint) => endpoint.address === address);
    if (proxy === undefined) return [];
    const remedy = "name the version of the service to replay to, or the address of an application outside the mesh";
    throw new AshlarError("invalid_argument", `target: ${address} is proxy ${proxy.proxyId} of this mesh: ${remedy}`);
  }
  const instances = served.get(service) ?? [];
  const targets = instances.filter((each) => each.version === version);
  const labels = targets.map((each) => new Map(each.labels.map(({ key, value }) => [key, value])));
  for (const unit of units) {
    const why = whyLive(unit, version, labels);
    if (why === undefined) continue;
    const remedy = "replay to a version that no live call goes to, by a Route whose splits name other versions";
    const what = `version ${version} of ${service} is a source of the journal, because ${why}`;
    throw new AshlarError("invalid_argument", `target: ${what}: ${remedy}`);
  }
  if (targets.length > 0 || dryRun) return targets;
  const known = [...new Set(instances.map((each) => each.version))].sort().join(", ");
  const others = known === "" ? "" : `; there are ${known}`;
  throw new AshlarError("not_found", `target: no healthy instance of ${service} has version ${version}${others}`);
}

/** Returns the service's unit in the active revision, and in the candidate of a rollout. */
async function unitsInForce({ ledger, snapshots }: ReplayTargetDeps, service: string): Promise<readonly Unit[]> {
  const head = ledger.activations.head();
  if (head === undefined) throw new AshlarError("stale", "no revision is active");
  const rollout = rolloutBeside(head);
  const numbers = [revisionInForce(head.body).number, ...(rollout === undefined ? [] : [rollout.candidate])];
  const units: Unit[] = [];
  for (const number of numbers) {
    const unit = await snapshots.loadUnit(findRevision(ledger, number).body.snapshot, service);
    if (unit === undefined) throw new AshlarError("not_found", `revision ${number} has no service ${service}`);
    units.push(unit);
  }
  return units;
}

function requireReplayer(unit: Unit, service: string, caller: OperatorCaller, mesh: string): void {
  const name = nameIn(caller.id, mesh, "operator") ?? "";
  const [journal] = unit.journals;
  if (journal?.replayers?.includes(name) === true) return;
  const where = journal === undefined ? `a Journal of ${service}` : `Journal ${journal.name}`;
  throw new AshlarError("denied", `operator ${name} may not replay ${service}: add it to the replayers of ${where}`);
}

/** Fails with `invalid_argument` if a proxy of the target wrote the entry, because it was applied there. */
export function refuseOwn(targets: readonly Endpoint[], proxyId: string, sequence: number): void {
  const own = targets.find((target) => target.proxyId === proxyId);
  if (own === undefined) return;
  const what = `entry ${sequence} was applied by version ${own.version} itself, through its proxy ${proxyId}`;
  throw new AshlarError("invalid_argument", `target: ${what}: begin after it (--from ${sequence + 1})`);
}
