/** The admin API's methods about the addresses of egresses. */
import type { TrustedEgress } from "../../core/egress/trusted-egress.js";
import { AshlarError } from "../../core/errors.js";
import type { AdminServiceService, EgressInfo } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { Egresses } from "./egresses.js";

export interface EgressMethodsDeps extends OperatedDeps {
  readonly egresses: Egresses;
}

type EgressMethods = Pick<Implementation<typeof AdminServiceService>, "setEgress" | "listEgresses" | "removeEgress">;

export function egressMethods(deps: EgressMethodsDeps): EgressMethods {
  const { egresses } = deps;
  const operated = operatedBy(deps);
  return {
    setEgress: operated(async ({ egress }, caller) => {
      if (egress === undefined) throw new AshlarError("invalid_argument", "egress is missing");
      const created = await egresses.set(read(egress), caller);
      const set = egresses.list().find(({ name }) => name === egress.name);
      return { egress: set && render(set), created };
    }),
    listEgresses: operated(async () => ({ egresses: egresses.list().map(render) })),
    removeEgress: operated(async ({ name }, caller) => {
      await egresses.remove(name, caller);
      return {};
    }),
  };
}

/** Returns exactly the fields of a record in a fixed order, so that equal records compare as equal. */
function read(info: EgressInfo): TrustedEgress {
  const { name, address, serverName, ca, clientKeyName, clientCert, allowAddresses, through } = info;
  return { name, address, serverName, ca, clientKeyName, clientCert, allowAddresses, through };
}

function render(egress: TrustedEgress): EgressInfo {
  return { ...egress, allowAddresses: [...egress.allowAddresses] };
}
