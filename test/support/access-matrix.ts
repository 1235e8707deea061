import type { Unit } from "../../core/model.js";
import { diffAccess } from "../../core/snapshot/matrix.js";

/** Returns every pair that may call, sorted by service, caller and method. `when`: the condition, or "". */
export function accessMatrix(units: readonly Unit[], mesh: string) {
  const { pairs, complete } = diffAccess([], units, mesh);
  return {
    complete,
    pairs: pairs.map(({ caller, service, method, after }) => {
      return { caller, service, method, when: after === "allowed" ? "" : after };
    }),
  };
}
