/** Who may call what, pair by pair, and what a change of policy does to it. */
import { buildSpiffeId, parseSpiffeId, type SpiffeId } from "../identity.js";
import type { Unit } from "../model.js";
import { type CompiledUnit, compileUnit } from "../policy/compile.js";
import { compareNames } from "./canonical-unit.js";
import { contentByName } from "./diff.js";
import { serviceOfMethod } from "./grammar.js";

/** A caller and a method of a service. */
export interface AccessPair {
  /** A service's name, a SPIFFE ID in full, or "*": everyone else. */
  readonly caller: string;
  readonly service: string;
  /** "package.Service/Method"; where methods are not stated also "package.Service/*" and "*": every other one. */
  readonly method: string;
}

/** A pair that may call, always or under a condition. */
export interface AccessRow extends AccessPair {
  /** The condition in CEL; "": none. */
  readonly when: string;
}

export interface AccessChange extends AccessPair {
  /** "changes": it may call under another condition than before. */
  readonly change: "gains" | "loses" | "changes";
  /** "allowed", "denied", or the condition in CEL under which it may call. */
  readonly before: string;
  readonly after: string;
}

/** Pairs up to a bound; `complete` is false if there are more. */
export interface AccessList<Pair extends AccessPair> {
  readonly pairs: readonly Pair[];
  readonly complete: boolean;
}

/** Something to ask a compiled unit about, and what it stands for. */
interface Probe<Asked> {
  readonly label: string;
  readonly asked: Asked;
  /** It stands for itself and not for others too. */
  readonly exact: boolean;
}

const pairsMax = 100_000;
/** Questions asked before an answer is called incomplete: a second or two. */
const questionsMax = 5_000_000;

/** Every pair that may call, sorted by service, caller and method; `units` are canonical, of the mesh `mesh`. */
export function accessMatrix(units: readonly Unit[], mesh: string): AccessList<AccessRow> {
  const { pairs, complete } = compareAccess([], units, mesh);
  return {
    complete,
    pairs: pairs.map(({ caller, service, method, after }) => {
      return { caller, service, method, when: after === "allowed" ? "" : after };
    }),
  };
}

/**
 * Every pair that gains or loses access from one policy to another, sorted by service, caller and method. A pair
 * is judged as `evaluateCall` judges it, so the list is exact: callers are the services of both policies, every
 * SPIFFE ID that is named, and everyone else; conditions on what only a call says are part of the answer.
 */
export function diffAccess(from: readonly Unit[], to: readonly Unit[], mesh: string): AccessList<AccessChange> {
  return compareAccess(from, to, mesh);
}

function compareAccess(from: readonly Unit[], to: readonly Unit[], mesh: string): AccessList<AccessChange> {
  const contentBefore = contentByName(from);
  const contentAfter = contentByName(to);
  const before = new Map(from.map((unit) => [unit.name, unit]));
  const after = new Map(to.map((unit) => [unit.name, unit]));
  const callers = callerProbes([...from, ...to], mesh);
  const pairs: AccessChange[] = [];
  let questions = 0;
  for (const service of [...new Set([...before.keys(), ...after.keys()])].sort(compareNames)) {
    if (contentBefore.get(service) === contentAfter.get(service)) continue;
    const sides = [before.get(service), after.get(service)].filter((unit) => unit !== undefined);
    const methods = methodProbes(sides);
    const old = compiled(before.get(service), mesh);
    const young = compiled(after.get(service), mesh);
    for (const caller of callers) {
      questions += methods.length;
      if (questions > questionsMax) return { pairs, complete: false };
      for (const method of methods) {
        const was = accessOf(old, caller, method);
        const is = accessOf(young, caller, method);
        if (was === is) continue;
        if (pairs.length >= pairsMax) return { pairs, complete: false };
        const change = changeBetween(was, is);
        pairs.push({ caller: caller.label, service, method: method.label, change, before: was, after: is });
      }
    }
  }
  return { pairs, complete: true };
}

/** "allowed", "denied", or a condition. */
function accessOf(unit: CompiledUnit | undefined, caller: Probe<SpiffeId>, method: Probe<string>): string {
  if (unit === undefined) return "denied";
  if (!unit.hasConditions) return unit.evaluate(caller.asked, method.asked).allow ? "allowed" : "denied";
  const condition = unit.conditionFor(caller.asked, method.asked, { caller: caller.exact, method: method.exact });
  return condition === "true" ? "allowed" : condition === "false" ? "denied" : condition;
}

function changeBetween(was: string, is: string): AccessChange["change"] {
  if (was === "denied" || is === "allowed") return "gains";
  return is === "denied" || was === "allowed" ? "loses" : "changes";
}

function compiled(unit: Unit | undefined, mesh: string): CompiledUnit | undefined {
  return unit === undefined ? undefined : compileUnit(unit, mesh);
}

/** The services, the SPIFFE IDs that rules name, and one identity that stands for everyone else. */
function callerProbes(units: readonly Unit[], mesh: string): readonly Probe<SpiffeId>[] {
  const labels = new Map<SpiffeId, string>();
  const addId = (text: string): void => {
    const id = parseSpiffeId(text);
    if (!labels.has(id)) labels.set(id, id);
  };
  const addName = (name: string): unknown => labels.set(buildSpiffeId(mesh, "service", name), name);
  for (const unit of units) {
    for (const { allow, deny } of unit.authorizations) {
      for (const caller of [...allow, ...deny].flatMap((rule) => rule.from)) {
        if (caller.startsWith("spiffe://")) addId(caller);
        else if (caller !== "*") addName(caller);
      }
    }
    if (unit.service !== undefined) addName(unit.service.name);
  }
  let other = 0;
  while (labels.has(everyoneElse(other))) other += 1;
  const probes = [...labels].map(([asked, label]) => ({ asked, label, exact: true }));
  probes.sort((a, b) => compareNames(a.label, b.label));
  return [...probes, { asked: everyoneElse(other), label: "*", exact: false }];
}

/** Top-level domain "invalid" (RFC 2606): nobody's trust domain, unless a rule names it to spite us. */
function everyoneElse(attempt: number): SpiffeId {
  return parseSpiffeId(`spiffe://everyone-else.invalid/${attempt}`);
}

/** Methods that are stated or named; where a side does not state them, also one for the rest of each pattern. */
function methodProbes(units: readonly Unit[]): readonly Probe<string>[] {
  const exact = new Set<string>();
  const rpcServices = new Set<string>();
  for (const { service, authorizations } of units) {
    for (const method of service?.methods ?? []) exact.add(method);
    for (const rule of authorizations.flatMap(({ allow, deny }) => [...allow, ...deny])) {
      for (const method of rule.methods) {
        if (method.endsWith("/*")) rpcServices.add(serviceOfMethod(method));
        else if (method !== "*") exact.add(method);
      }
    }
  }
  const probes: Probe<string>[] = [...exact]
    .sort(compareNames)
    .map((method) => ({ label: method, asked: method, exact: true }));
  if (units.every(({ service }) => (service?.methods.length ?? 0) > 0)) return probes;
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
