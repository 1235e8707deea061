/** Units to policy files in canonical form: parsing them builds the same snapshot. */
import { stringify } from "yaml";
import { kindOf } from "../kinds/table.js";
import { objectsOf } from "../kinds/unit.js";
import type { PolicyObject, Unit } from "../model.js";

export { objectsOf };

/** One policy file with every object of `units`, service by service. */
export function renderYaml(units: readonly Unit[]): string {
  return units.flatMap(objectsOf).map(renderObject).join("---\n");
}

/** The same objects as a JSON array: a hundredth of the work for whoever writes and reads it. */
export function renderJson(units: readonly Unit[]): string {
  return JSON.stringify(units.flatMap(objectsOf).map((object) => kindOf(object).render(object)));
}

/** One document, ending in a newline. What is left out by default is left out here. */
export function renderObject(object: PolicyObject): string {
  return stringify(kindOf(object).render(object), { lineWidth: 0, aliasDuplicateObjects: false });
}

/** Renders the object on one line, which is shorter, for objects that would exceed the size of a file otherwise. */
export function renderObjectShort(object: PolicyObject): string {
  const style = { collectionStyle: "flow", flowCollectionPadding: false } as const;
  return stringify(kindOf(object).render(object), { ...style, lineWidth: 0, aliasDuplicateObjects: false });
}
