/** Probes: the callers and methods that policy names, and one of each that stands for all others. */
import { gatewayWorkload, parseSpiffeId, type SpiffeId, workloadId } from "../identity.js";
import { feedMethod } from "../journal/feed-method.js";
import { calleeOf } from "../kinds/callee.js";
import { compareNames } from "../kinds/compare-names.js";
import type { Unit } from "../model.js";
import { serviceOfMethod } from "./grammar.js";

/** A caller or method to ask a compiled unit about, and what it stands for. */
export interface Probe<Asked> {
  readonly label: string;
  readonly asked: Asked;
  /** True if the caller or method stands for itself only, not for others as well. */
  readonly exact: boolean;
}

/**
 * Returns the services and gateways, the callers that rules or `named` name, and one identity that stands for everyone
 * else.
 */
export function callerProbes(
  units: readonly Unit[],
  mesh: string,
  named: readonly string[] = [],
): readonly Probe<SpiffeId>[] {
  const labels = new Map<SpiffeId, string>();
  const addId = (text: string): void => {
    const id = parseSpiffeId(text);
    if (!labels.has(id)) labels.set(id, id);
  };
  const addName = (name: string): unknown => labels.set(workloadId(mesh, name), name);
  const addCaller = (caller: string): void => {
    if (caller.startsWith("spiffe://")) addId(caller);
    else if (caller !== "*") addName(caller);
  };
  named.forEach(addCaller);
  for (const unit of units) {
    for (const { allow, deny } of unit.authorizations) {
      for (const rule of [...allow, ...deny]) rule.from.forEach(addCaller);
    }
    for (const { readers = [] } of unit.journals) readers.forEach(addCaller);
    if (unit.service !== undefined) addName(unit.service.name);
    if (unit.gateway !== undefined) addName(gatewayWorkload(unit.gateway.name));
  }
  let other = 0;
  while (labels.has(everyoneElse(other))) other += 1;
  const probes = [...labels].map(([asked, label]) => ({ asked, label, exact: true }));
  probes.sort((a, b) => compareNames(a.label, b.label));
  return [...probes, { asked: everyoneElse(other), label: "*", exact: false }];
}

/**
 * Returns an identity that no rule names. The top-level domain "invalid" (RFC 2606) is nobody's trust domain; `attempt`
 * avoids a rule that names it nevertheless.
 */
function everyoneElse(attempt: number): SpiffeId {
  return parseSpiffeId(`spiffe://everyone-else.invalid/${attempt}`);
}

/**
 * Returns the methods that are stated or that rules or `named` name. Where a unit does not state its methods, each
 * pattern adds one method that stands for the others.
 */
export function methodProbes(units: readonly Unit[], named: readonly string[] = []): readonly Probe<string>[] {
  const exact = new Set<string>();
  const rpcServices = new Set<string>();
  const addPattern = (method: string): void => {
    if (method.endsWith("/*")) rpcServices.add(serviceOfMethod(method));
    else if (method !== "*") exact.add(method);
  };
  named.forEach(addPattern);
  for (const unit of units) {
    if (unit.journals.some(({ readers = [] }) => readers.length > 0)) exact.add(feedMethod);
    for (const method of calleeOf(unit)?.methods ?? []) exact.add(method);
    for (const { allow, deny } of unit.authorizations) {
      for (const rule of [...allow, ...deny]) rule.methods.forEach(addPattern);
    }
  }
  const probes: Probe<string>[] = [...exact]
    .sort(compareNames)
    .map((method) => ({ label: method, asked: method, exact: true }));
  if (units.every((unit) => (calleeOf(unit)?.methods.length ?? 0) > 0)) return probes;
  for (const rpcService of [...rpcServices].sort(compareNames))
    probes.push({
      label: `${rpcService}/*`,
      asked: unusedName((name) => `${rpcService}/${name}`, exact),
      exact: false,
    });
  const mentioned = new Set([...rpcServices, ...[...exact].map(serviceOfMethod)]);
  probes.push({ label: "*", asked: `${unusedName((name) => name, mentioned)}/Other`, exact: false });
  return probes;
}

function unusedName(build: (name: string) => string, used: ReadonlySet<string>): string {
  let name = "Other";
  while (used.has(build(name))) name += "_";
  return build(name);
}
