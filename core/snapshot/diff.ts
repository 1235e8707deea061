import { compareNames } from "../kinds/compare-names.js";
import type { PolicyObject, Unit } from "../model.js";
import { objectsOf, renderObject } from "./render.js";
import { diffLines } from "./text-diff.js";

/** An object that two snapshots have differently. */
export interface ObjectChange {
  readonly change: "added" | "removed" | "changed";
  readonly kind: PolicyObject["kind"];
  readonly name: string;
  /** The lines of the diff; each begins with " ", "-" or "+". */
  readonly lines: readonly string[];
}

/** Compares two sets of canonical units. Returns the objects that differ, sorted by kind and name. */
export function diffUnits(from: readonly Unit[], to: readonly Unit[]): { readonly objects: readonly ObjectChange[] } {
  const fromByName = contentByName(from);
  const toByName = contentByName(to);
  const differs = ({ name }: Unit): boolean => fromByName.get(name) !== toByName.get(name);
  const before = renderByKey(from.filter(differs));
  const after = renderByKey(to.filter(differs));
  const objects: ObjectChange[] = [];
  for (const key of [...new Set([...before.keys(), ...after.keys()])].sort(compareNames)) {
    const old = before.get(key);
    const young = after.get(key);
    const object = young?.object ?? old?.object;
    if (object === undefined || old?.text === young?.text) continue;
    const change = old === undefined ? "added" : young === undefined ? "removed" : "changed";
    objects.push({
      change,
      kind: object.kind,
      name: object.name,
      lines: diffLines(old?.text ?? "", young?.text ?? ""),
    });
  }
  return { objects };
}

/** Most units of two snapshots are equal, so they are compared before their objects are rendered. */
export function contentByName(units: readonly Unit[]): ReadonlyMap<string, string> {
  return new Map(units.map((unit) => [unit.name, JSON.stringify(unit)]));
}

interface RenderedObject {
  readonly object: PolicyObject;
  readonly text: string;
}

function renderByKey(units: readonly Unit[]): ReadonlyMap<string, RenderedObject> {
  const rendered = units.flatMap(objectsOf).map((object) => {
    return [`${object.kind} ${object.name}`, { object, text: renderObject(object) }] as const;
  });
  return new Map(rendered);
}
