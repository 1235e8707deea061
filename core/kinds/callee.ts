/** What can be called: a service of the mesh, or something outside that has a name in it. */
import { serviceOfMethod } from "../snapshot/grammar.js";
import type { Egress } from "./egress/egress.js";
import type { Service } from "./service/service.js";
import type { Unit } from "./table.js";

export type Callee = Service | Egress;

/** Returns what the unit is about, if that can be called; undefined: it is about a gateway or the mesh. */
export function calleeOf({ service, egress }: Pick<Unit, "service" | "egress">): Callee | undefined {
  return service ?? egress;
}

/** Whether a method may be carried out twice with the effect of once, as far as the service or egress says. */
export function isIdempotent(callee: Callee, method: string): boolean {
  return isMarked(callee.idempotent, method) || hasNoSideEffects(callee, method);
}

/** Whether a method changes nothing, as far as the service or egress says. */
export function hasNoSideEffects({ noSideEffects }: Callee, method: string): boolean {
  return isMarked(noSideEffects, method);
}

function isMarked(marked: readonly string[] | undefined, method: string): boolean {
  const service = `${serviceOfMethod(method)}/*`;
  return marked?.some((one) => one === method || one === service || one === "*") === true;
}
