/** Computes which calls a changed gateway may treat differently: those of the listeners that differ. Pure. */
import type { EdgeListener, Gateway } from "../kinds/gateway/gateway.js";
import { sortUnique } from "./judged-calls.js";
import { isSame } from "./same-value.js";

/** Methods of one service that outside clients may call. */
export interface ExposedCalls {
  readonly service: string;
  /** The methods, sorted and not empty. */
  readonly methods: readonly string[];
}

/**
 * Returns all methods that the changed listeners expose, before or after the change, sorted by service. A gateway
 * counts the calls that it lets in, so the calls of methods that stay exposed show how the new gateway does.
 */
export function findGatewayCalls(base: Gateway | undefined, candidate: Gateway | undefined): readonly ExposedCalls[] {
  const methodsOf = new Map<string, string[]>();
  for (const listener of differing(base, candidate))
    for (const { service, methods } of listener.expose)
      methodsOf.set(service, [...(methodsOf.get(service) ?? []), ...methods]);
  return [...methodsOf]
    .map(([service, methods]) => ({ service, methods: sortUnique(methods) }))
    .sort((a, b) => (a.service < b.service ? -1 : 1));
}

function differing(base: Gateway | undefined, candidate: Gateway | undefined): readonly EdgeListener[] {
  const [before, after] = [base?.listeners ?? [], candidate?.listeners ?? []];
  const isIn = (listeners: readonly EdgeListener[], one: EdgeListener): boolean =>
    listeners.some((other) => isSame(one, other));
  return [...before.filter((one) => !isIn(after, one)), ...after.filter((one) => !isIn(before, one))];
}
