/** Which services a rollout can show anything about. */
import { meshUnitName, type Revision } from "../../core/model.js";
import type { RecordLog } from "../store/ledger.js";

/**
 * The services whose units differ between two revisions, and perhaps some that changed and changed back; undefined:
 * the mesh's own unit is among them, so every service may fare differently.
 */
export function affectedServices(
  revisions: Pick<RecordLog<Revision>, "find">,
  from: number,
  to: number,
): ReadonlySet<string> | undefined {
  const services = new Set<string>();
  for (let number = Math.min(from, to) + 1; number <= Math.max(from, to); number++) {
    for (const { name } of revisions.find(number)?.body.changes ?? []) {
      if (name === meshUnitName) return undefined;
      services.add(name);
    }
  }
  return services;
}
