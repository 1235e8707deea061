/** Assertions about a service, run over the access that its rules give. */

import { AshlarError } from "../errors.js";
import type { SpiffeId } from "../identity.js";
import { callerId } from "../identity.js";
import { calleeOf } from "../kinds/callee.js";
import type { Assertion, Unit } from "../model.js";
import { callerProbes, methodProbes, type Probe } from "../snapshot/access-probes.js";
import { serviceOfMethod } from "../snapshot/grammar.js";
import type { Access } from "./access-plan.js";
import type { CompiledUnit } from "./compiled-unit.js";

/** A caller and method that violate an assertion. */
export interface CounterExample {
  readonly assertion: Assertion;
  /** A service's name, a SPIFFE ID in full, or "*": everyone else. */
  readonly caller: string;
  /** "package.Service/Method"; where methods are not stated also "package.Service/*" and "*": every other one. */
  readonly method: string;
  readonly access: Access;
}

/** Pairs that the assertions of one service may ask about, all together: a tenth of a second or two (I8). */
const questionsMax = 50_000;

/**
 * The first counter-example of each assertion of `unit` that does not hold; empty: all hold. `compiled` is that
 * unit, compiled for `mesh`. Each pair is judged as calls are, and one unit is enough: a caller that it does not
 * name gets what everyone else gets, and a condition on who that is counts as one that may hold or not.
 * Fails with `limit` if there are too many pairs to ask about.
 */
export function runAssertions(unit: Unit, compiled: CompiledUnit, mesh: string): readonly CounterExample[] {
  if (unit.assertions.length === 0) return [];
  const runs = planRuns(unit, mesh);
  const questions = runs.reduce((sum, { callers, methods }) => sum + callers.length * methods.length, 0);
  if (questions > questionsMax) {
    const message = `the assertions about ${unit.name} speak of ${questions} pairs of callers and methods, at most ${questionsMax}`;
    throw new AshlarError("limit", message);
  }
  return runs.flatMap((run) => findCounterExample(run, compiled) ?? []);
}

/** Fails with `invalid_policy` and the first counter-example if an assertion of `unit` does not hold; else as `runAssertions`. */
export function requireAssertions(unit: Unit, compiled: CompiledUnit, mesh: string): void {
  const [example] = runAssertions(unit, compiled, mesh);
  if (example !== undefined)
    throw new AshlarError("invalid_policy", `assertion ${example.assertion.name}: ${renderCounterExample(example)}`);
}

/** For people: what was claimed, and the pair of which it is not true. */
export function renderCounterExample({ assertion, caller, method, access }: CounterExample): string {
  const who = caller === "*" ? "everyone else" : caller;
  const pair = `${assertion.service}/${method}`;
  const where = access.kind === "conditional" ? ` where ${access.condition}` : "";
  const what = access.kind === "denied" ? `may not call ${pair}` : `may call ${pair}${where}`;
  return `"${assertion.claim}" does not hold: ${who} ${what}, by ${access.rule}`;
}

interface Run {
  readonly assertion: Assertion;
  readonly callers: readonly Probe<SpiffeId>[];
  readonly methods: readonly Probe<string>[];
}

/** Each assertion with the callers and methods that it is about. */
function planRuns(unit: Unit, mesh: string): readonly Run[] {
  const { assertions } = unit;
  const callers = callerProbes(
    [unit],
    mesh,
    assertions.flatMap(({ from }) => from),
  );
  const callerOf = new Map<string, Probe<SpiffeId>>(callers.map((probe) => [probe.asked, probe]));
  const methods = methodProbes(
    [unit],
    assertions.flatMap((assertion) => assertion.methods),
  );
  const stated = new Set(calleeOf(unit)?.methods);
  return assertions.map((assertion) => ({
    assertion,
    callers: assertion.from.includes("*")
      ? callers
      : assertion.from.flatMap((name) => callerOf.get(callerId(mesh, name)) ?? []),
    methods: methods.filter(({ asked }) => isAbout(assertion, asked, stated.size === 0 || stated.has(asked))),
  }));
}

/** `isStated`: the service has the method, as far as is known. A pattern speaks of those alone. */
function isAbout({ methods }: Assertion, method: string, isStated: boolean): boolean {
  if (methods.includes(method)) return true;
  return (
    isStated && (methods.length === 0 || methods.includes("*") || methods.includes(`${serviceOfMethod(method)}/*`))
  );
}

function findCounterExample({ assertion, callers, methods }: Run, compiled: CompiledUnit): CounterExample | undefined {
  for (const caller of callers) {
    for (const method of methods) {
      const access = compiled.accessFor(caller.asked, method.asked, { caller: caller.exact, method: method.exact });
      const holds = assertion.claim === "never" ? access.kind === "denied" : access.kind === "allowed";
      if (!holds) return { assertion, caller: caller.label, method: method.label, access };
    }
  }
  return undefined;
}
