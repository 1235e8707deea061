/** The admin API's methods about proxies, services and the state of the mesh. */
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { Clock } from "../../runtime/clock.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import { renderProxy, renderService } from "../admin/admin-messages.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { PolicyReader } from "../publish/policy-reader.js";
import type { RegistryState } from "../registry/registry-state.js";
import { type MeshStatusDeps, meshStatus } from "./mesh-status.js";

export interface FleetMethodsDeps extends OperatedDeps, MeshStatusDeps {
  readonly mesh: string;
  readonly policy: Pick<PolicyReader, "activeRoutes" | "activeDirectReads" | "activeServices">;
  readonly registry: Pick<RegistryState, "list" | "served" | "avoided" | "hung">;
  readonly reader: Pick<StatementReader, "revocationOf">;
  readonly clock: Clock;
}

type FleetMethods = Pick<Implementation<typeof AdminServiceService>, "listProxies" | "listServices" | "getStatus">;

export function fleetMethods(deps: FleetMethodsDeps): FleetMethods {
  const { ledger, policy, fleet, registry, reader, clock } = deps;
  const operated = operatedBy(deps);
  const listServices = async () => {
    const services = registry.list(fleet.list(), await policy.activeServices(), {
      revocationOf: (serial) => reader.revocationOf(serial),
      nowMs: clock.nowMs(),
    });
    return services.map(renderService);
  };
  return {
    listProxies: operated(async () => {
      const services = await listServices();
      const endpoints = new Map(services.flatMap((one) => one.endpoints).map((one) => [one.proxyId, one]));
      const head = ledger.activations.head()?.body;
      return {
        proxies: fleet.list().map((entry) => renderProxy(entry, head, endpoints.get(entry.heartbeat.proxyId))),
      };
    }),
    listServices: operated(async () => ({ services: await listServices() })),
    getStatus: operated(() => meshStatus(deps, clock.nowMs())),
  };
}
