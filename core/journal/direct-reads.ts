/** Reads that an application sends to the proxy of another service without its own proxy. */
import type { CompiledUnit } from "../policy/compiled-unit.js";

/** Decides about a direct call that is no such read, as its decision records it. */
export const notDirectRule = "not-direct";

/** Whether the policy of the service that is called lets a call of this method come directly, if its rules allow it. */
export function isDirectRead(unit: Pick<CompiledUnit, "journal"> | undefined, method: string): boolean {
  return unit?.journal?.direct !== undefined && unit.journal.isRead(method);
}
