/** The admin API's method about the control planes and NATS servers of the mesh. */
import type { AdminServiceService, NatsServerInfo } from "../../proto/gen/ashlar/v1/admin.js";
import type { Bus } from "../../runtime/bus.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import { addressOf, greetAt } from "../nats/nats-servers.js";
import type { ControlPlanes } from "./control-planes.js";

export interface ControlPlaneMethodsDeps extends OperatedDeps {
  readonly planes: Pick<ControlPlanes, "list">;
  readonly bus: Pick<Bus, "connected" | "place">;
  /** `servers`: the URLs of the NATS servers that this control plane was given. */
  readonly access: { readonly servers: readonly string[] };
}

type ControlPlaneMethods = Pick<Implementation<typeof AdminServiceService>, "listControlPlanes">;

const serversMax = 32;

export function controlPlaneMethods(deps: ControlPlaneMethodsDeps): ControlPlaneMethods {
  const { planes, bus, access } = deps;
  return {
    listControlPlanes: operatedBy(deps)(async () => ({
      controlPlanes: planes.list().map((one) => ({ ...one })),
      natsServers: await Promise.all(serversOf(access.servers, bus.place).map((one) => look(one, bus.place?.address))),
      natsConnected: bus.connected,
    })),
  };
}

/** Returns "HOST:PORT" of each, those that were told first. */
function serversOf(told: readonly string[], place: Bus["place"]): readonly string[] {
  const all = [...told.map(addressOf), ...(place === undefined ? [] : [place.address, ...place.others])];
  return [...new Set(all)].slice(0, serversMax);
}

/** Dials the server to find out whether it is there, instead of trusting what another server says. */
async function look(address: string, connectedTo: string | undefined): Promise<NatsServerInfo> {
  return { address, name: (await greetAt(address)) ?? "", connected: address === connectedTo };
}
