/** What can be called: a service of the mesh, or something outside that has a name in it. */
import { serviceOfMethod } from "../snapshot/grammar.js";
import type { Egress } from "./egress/egress.js";
import type { Service } from "./service/service.js";
import type { Unit } from "./table.js";

export type Callee = Service | Egress;

/** Returns the service or egress that the unit is about, or undefined if it is about a gateway or the mesh. */
export function calleeOf({ service, egress }: Pick<Unit, "service" | "egress">): Callee | undefined {
  return service ?? egress;
}

/**
 * Returns whether the service or egress says that carrying out a method twice has the effect of carrying it out once.
 */
export function isIdempotent(callee: Callee, method: string): boolean {
  return isMarked(callee.idempotent, method) || hasNoSideEffects(callee, method);
}

/** Returns whether the service or egress says that a method changes nothing. */
export function hasNoSideEffects({ noSideEffects }: Callee, method: string): boolean {
  return isMarked(noSideEffects, method);
}

function isMarked(marked: readonly string[] | undefined, method: string): boolean {
  const service = `${serviceOfMethod(method)}/*`;
  return marked?.some((one) => one === method || one === service || one === "*") === true;
}
