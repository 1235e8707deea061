/** Checks of whole units: each must fit into one message and one index, and its assertions must hold. */
import { AshlarError } from "../errors.js";
import { calleeOf } from "../kinds/callee.js";
import type { Unit } from "../model.js";
import { whyTooLarge } from "../policy/access-index.js";
import { type CounterExample, renderCounterExample, runAssertions } from "../policy/assertions.js";
import { compileUnit } from "../policy/compile.js";
import { type LostByRewrite, lostByRewrites } from "../policy/rewrites.js";
import { encodedUnit, unitsOf } from "./build.js";
import type { SourcedObject } from "./sourced-object.js";

/**
 * Reports errors about units at their objects, except for objects that have errors of their own. `key` is the place in
 * the object.
 */
export function checkUnits(
  objects: readonly SourcedObject[],
  mesh: string,
  report: (sourced: SourcedObject, key: string, message: string) => void,
): void {
  const sourceOf = (kind: string, name: string) =>
    objects.find(({ object }) => object.kind === kind && object.name === name);
  let units: readonly Unit[];
  try {
    units = unitsOf(objects.map(({ object }) => object));
  } catch {
    return; // a name is used twice: the parser has reported it with both places
  }
  for (const unit of units) {
    const callee = calleeOf(unit);
    if (callee === undefined) continue;
    const { tooLarge, examples, lost } = problemsOf(unit, mesh);
    const service = tooLarge === undefined ? undefined : sourceOf(callee.kind, unit.name);
    if (tooLarge !== undefined && service !== undefined) report(service, "name", tooLarge);
    for (const { route, rule, caller, before, after } of lost) {
      const sourced = sourceOf("Route", route);
      const message = `${caller} may call ${before} and not ${after}, under which its calls go on: they would be denied; allow it both, or take the old one away`;
      if (sourced !== undefined) report(sourced, `rules[${rule}].rewrite`, message);
    }
    for (const example of examples) {
      const { name, claim } = example.assertion;
      const sourced = sourceOf("Assertion", name);
      if (sourced !== undefined) report(sourced, claim, renderCounterExample(example));
    }
  }
}

interface Problems {
  /** Why this cannot be a unit; undefined: it can. */
  readonly tooLarge: string | undefined;
  readonly examples: readonly CounterExample[];
  /** Callers that lose access because of a rewrite. */
  readonly lost: readonly LostByRewrite[];
}

/** The problems of a unit in one mesh. Most units come again unchanged, so they are remembered. */
const known = new WeakMap<Unit, { readonly mesh: string; readonly problems: Problems }>();

function problemsOf(unit: Unit, mesh: string): Problems {
  const before = known.get(unit);
  if (before?.mesh === mesh) return before.problems;
  const problems = findProblems(unit, mesh);
  known.set(unit, { mesh, problems });
  return problems;
}

function findProblems(unit: Unit, mesh: string): Problems {
  const why = whyTooLarge(unit, mesh) ?? whyLimited(() => encodedUnit(unit));
  if (why !== undefined) return { tooLarge: why, examples: [], lost: [] };
  let examples: readonly CounterExample[] = [];
  let lost: readonly LostByRewrite[] = [];
  const hasRewrites = unit.routes.some(({ rules }) => rules.some(({ rewrite }) => rewrite !== undefined));
  const tooMany = whyLimited(() => {
    if (unit.assertions.length === 0 && !hasRewrites) return;
    const compiled = compileUnit(unit, mesh);
    examples = runAssertions(unit, compiled, mesh);
    lost = lostByRewrites(unit, compiled, mesh);
  });
  return { tooLarge: tooMany, examples, lost };
}

/** Returns the message if `act` fails with `limit`, otherwise undefined. */
function whyLimited(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof AshlarError && error.code === "limit") return error.message;
    throw error;
  }
}
