/** What only shows when policy is cut into units: each has to fit one message and one index, and keep what is asserted. */
import { AshlarError } from "../errors.js";
import type { Unit } from "../model.js";
import { whyTooLarge } from "../policy/access-index.js";
import { type CounterExample, renderCounterExample, runAssertions } from "../policy/assertions.js";
import { compileUnit } from "../policy/compile.js";
import { encodeUnit } from "../wire/units.js";
import { unitsOf } from "./build.js";
import type { SourcedObject } from "./parse-files.js";

/** Reports errors about objects that have none by themselves. `key` is the place in the object. */
export function checkUnits(
  objects: readonly SourcedObject[],
  mesh: string,
  report: (sourced: SourcedObject, key: string, message: string) => void,
): void {
  const sources = new Map(objects.map((each) => [`${each.object.kind} ${each.object.name}`, each]));
  let units: readonly Unit[];
  try {
    units = unitsOf(objects.map(({ object }) => object));
  } catch {
    return; // a name that is there twice: the parser has reported it with both places
  }
  for (const unit of units) {
    const service = sources.get(`Service ${unit.name}`);
    if (service === undefined) continue;
    const why = whyTooLarge(unit, mesh) ?? whyLimited(() => encodeUnit(unit));
    if (why !== undefined) {
      report(service, "name", why);
      continue;
    }
    let examples: readonly CounterExample[] = [];
    const tooMany = whyLimited(() => {
      if (unit.assertions.length > 0) examples = runAssertions(unit, compileUnit(unit, mesh), mesh);
    });
    if (tooMany !== undefined) report(service, "name", tooMany);
    for (const example of examples) {
      const { name, claim } = example.assertion;
      const sourced = sources.get(`Assertion ${name}`);
      if (sourced !== undefined) report(sourced, claim, renderCounterExample(example));
    }
  }
}

/** The message if `act` fails with `limit`. */
function whyLimited(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof AshlarError && error.code === "limit") return error.message;
    throw error;
  }
}
