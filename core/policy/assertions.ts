/** Checks the assertions about a service against the access that its rules give. */

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
  /** A service's name, a SPIFFE ID in full, or "*" for every other caller. */
  readonly caller: string;
  /**
   * "package.Service/Method"; where the methods are not stated also "package.Service/*" or "*", for every other method.
   */
  readonly method: string;
  readonly access: Access;
}

/**
 * The most pairs of caller and method that the assertions of one service may be about, all together. Checking them
 * takes up to 0.2 s (I8).
 */
const questionsMax = 50_000;

/**
 * Returns the first counter-example of each assertion of `unit` that does not hold; empty: all hold. `compiled` is the
 * same unit, compiled for `mesh`. Each pair is judged as calls are. One unit is enough: a caller that the unit does not
 * name has the access of every other caller, and a condition on the identity of such a caller counts as one that may
 * hold or not. Fails with `limit` if there are too many pairs.
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

/**
 * Fails with `invalid_policy` and the first counter-example if an assertion of `unit` does not hold, and with `limit`
 * as `runAssertions` does.
 */
export function requireAssertions(unit: Unit, compiled: CompiledUnit, mesh: string): void {
  const [example] = runAssertions(unit, compiled, mesh);
  if (example !== undefined)
    throw new AshlarError("invalid_policy", `assertion ${example.assertion.name}: ${renderCounterExample(example)}`);
}

/** Says for people which claim does not hold, and for which caller and method. */
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

/** Returns each assertion with the callers and methods that it is about. */
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

/**
 * Returns whether an assertion is about a method. `isStated`: the service has the method, as far as is known; a pattern
 * is only about such methods.
 */
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
