/** Computes which caller may call which method, and how a change of policy changes that. */
import type { SpiffeId } from "../identity.js";
import { compareNames } from "../kinds/compare-names.js";
import type { Unit } from "../model.js";
import { type CompiledUnit, compileUnit } from "../policy/compile.js";
import { callerProbes, methodProbes, type Probe } from "./access-probes.js";
import { contentByName } from "./diff.js";

/** A caller and a method of a service, and what changes of its access. */
export interface AccessChange {
  /** A service's name, a SPIFFE ID in full, or "*" for every other caller. */
  readonly caller: string;
  readonly service: string;
  /**
   * "package.Service/Method"; where the methods are not stated also "package.Service/*" or "*", for every other method.
   */
  readonly method: string;
  /** "changes": the condition under which the caller may call is another one. */
  readonly change: "gains" | "loses" | "changes";
  /** "allowed", "denied", or the CEL condition under which the caller may call. */
  readonly before: string;
  readonly after: string;
}

/** Pairs up to a bound; `complete` is false if there are more. */
export interface AccessList {
  readonly pairs: readonly AccessChange[];
  readonly complete: boolean;
}

const pairsMax = 100_000;
/** The most pairs that are judged before the answer is returned incomplete: it takes one or two seconds. */
const questionsMax = 5_000_000;

/**
 * Returns every pair whose access differs between two policies, sorted by service, caller and method. Pairs are judged
 * as `evaluateCall` judges calls, so the list is exact: callers are the services of both policies, every SPIFFE ID that
 * is named, and everyone else. Conditions on values that only a call has are part of the answer.
 */
export function diffAccess(from: readonly Unit[], to: readonly Unit[], mesh: string): AccessList {
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

/** Returns "allowed", "denied", or a condition. */
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
