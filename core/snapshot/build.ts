import { AshlarError } from "../errors.js";
import { compareNames } from "../kinds/compare-names.js";
import { canonicalUnit, meshUnitName, unitNameOf, unitOfObjects } from "../kinds/unit.js";
import type { EncodedUnit, PolicyObject, SnapshotList, Unit } from "../model.js";
import { encodeSnapshotList, encodeUnit } from "../wire/units.js";

/** The policy of a whole mesh: the list that its digest names, and all units, sorted by name. */
export interface Snapshot {
  readonly list: SnapshotList;
  readonly units: readonly EncodedUnit[];
}

/**
 * Cuts policy into canonical units, sorted by name: one for each service, and always one for the mesh ("@mesh"). Fails
 * with `invalid_policy` on what `checkPolicy` reports as errors, such as policy about a service that does not exist, or
 * a name that is used twice.
 */
export function unitsOf(objects: readonly PolicyObject[]): Unit[] {
  const parts = new Map<string, PolicyObject[]>([[meshUnitName, []]]);
  for (const object of objects) {
    const name = unitNameOf(object);
    const before = parts.get(name);
    if (before === undefined) parts.set(name, [object]);
    else before.push(object);
  }
  refuseRepeatedNames(objects);
  const units = [...parts].map(([name, own]) => unitOf(name, own));
  return units.sort((a, b) => compareNames(a.name, b.name));
}

/**
 * Units by the first of their objects. When one service of thousands changes, the objects of the others come again as
 * the same JavaScript objects, and their units are reused.
 */
const known = new WeakMap<PolicyObject, { readonly parts: readonly PolicyObject[]; readonly unit: Unit }>();
const encoded = new WeakMap<Unit, EncodedUnit>();

function unitOf(name: string, parts: readonly PolicyObject[]): Unit {
  const [first] = parts;
  const before = first && known.get(first);
  if (before?.parts.length === parts.length && before.parts.every((part, index) => part === parts[index]))
    return before.unit;
  const unit = canonicalUnit(unitOfObjects(name, parts));
  if (first !== undefined) known.set(first, { parts, unit });
  return unit;
}

/** Returns the encoded unit. A unit object that was encoded before is not encoded again. */
export function encodedUnit(unit: Unit): EncodedUnit {
  const before = encoded.get(unit);
  if (before !== undefined) return before;
  const made = encodeUnit(unit);
  encoded.set(unit, made);
  return made;
}

/** Fails with `invalid_policy` if two objects of a kind have the same name, which no single unit can show. */
function refuseRepeatedNames(objects: readonly PolicyObject[]): void {
  const seen = new Map<PolicyObject["kind"], Set<string>>();
  for (const { kind, name } of objects) {
    const names = seen.get(kind) ?? new Set();
    if (names.has(name)) throw new AshlarError("invalid_policy", `${kind} ${name} is there twice`);
    seen.set(kind, names.add(name));
  }
}

/**
 * Builds the complete, frozen snapshot of `objects`. Its digest does not depend on their order. Fails as `unitsOf` and
 * `encodeUnit` do.
 */
export function buildSnapshot(objects: readonly PolicyObject[]): Snapshot {
  const units = unitsOf(objects).map(encodedUnit);
  const list = encodeSnapshotList(units.map(({ unit, digest }) => ({ name: unit.name, digest })));
  return Object.freeze({ list, units: Object.freeze(units) });
}
