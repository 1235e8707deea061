/** Renders units as policy files in canonical form. Parsing them builds the same snapshot. */
import { stringify } from "yaml";
import { kindOf } from "../kinds/table.js";
import { objectsOf } from "../kinds/unit.js";
import type { PolicyObject, Unit } from "../model.js";

export { objectsOf };

/** Renders all objects of `units` as one policy file, unit by unit. */
export function renderYaml(units: readonly Unit[]): string {
  return units.flatMap(objectsOf).map(renderObject).join("---\n");
}

/** Renders the same objects as a JSON array, which takes a hundredth of the work to write and to read. */
export function renderJson(units: readonly Unit[]): string {
  return JSON.stringify(units.flatMap(objectsOf).map((object) => kindOf(object).render(object)));
}

/** Renders an object as one YAML document that ends in a newline. Fields with their default value are left out. */
export function renderObject(object: PolicyObject): string {
  return stringify(kindOf(object).render(object), { lineWidth: 0, aliasDuplicateObjects: false });
}

/** Renders an object on one line, which is shorter, for objects that would otherwise exceed the size of a file. */
export function renderObjectShort(object: PolicyObject): string {
  const style = { collectionStyle: "flow", flowCollectionPadding: false } as const;
  return stringify(kindOf(object).render(object), { ...style, lineWidth: 0, aliasDuplicateObjects: false });
}
