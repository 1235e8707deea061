import { AshlarError } from "../errors.js";
import type { RateLimit } from "../limit/limit-model.js";
import type { Assertion, Authorization, Route, Service } from "../model.js";
import { type EncodedUnit, meshUnitName, type PolicyObject, type SnapshotList, type Unit } from "../model.js";
import type { JwtIssuer } from "../token/token-model.js";
import { encodeSnapshotList, encodeUnit } from "../wire/units.js";
import { compareNames } from "./canonical-list.js";
import { canonicalUnit } from "./canonical-unit.js";

/** A whole mesh's policy: the list that its digest names, and every unit of it, sorted by name. */
export interface Snapshot {
  readonly list: SnapshotList;
  readonly units: readonly EncodedUnit[];
}

interface Draft {
  /** All objects of the unit, in the order given. */
  readonly parts: PolicyObject[];
  service: Service | undefined;
  readonly authorizations: Authorization[];
  readonly routes: Route[];
  readonly assertions: Assertion[];
  readonly rateLimits: RateLimit[];
  readonly issuers: JwtIssuer[];
}

/**
 * Cuts policy into units, one a service and always one of the mesh ("@mesh"), canonical, sorted by name.
 * Fails with `invalid_policy` on what `checkPolicy` reports as errors: a policy about a service that does
 * not exist, a name that is there twice.
 */
export function unitsOf(objects: readonly PolicyObject[]): Unit[] {
  const drafts = new Map<string, Draft>();
  const draftOf = (service: string): Draft => {
    const draft = drafts.get(service) ?? emptyDraft();
    drafts.set(service, draft);
    return draft;
  };
  for (const object of objects) {
    draftOf(unitNameOf(object)).parts.push(object);
    switch (object.kind) {
      case "Service": {
        const draft = draftOf(object.name);
        if (draft.service !== undefined)
          throw new AshlarError("invalid_policy", `Service ${object.name} is there twice`);
        draft.service = object;
        break;
      }
      case "Authorization":
        draftOf(object.service).authorizations.push(object);
        break;
      case "Route":
        draftOf(object.service).routes.push(object);
        break;
      case "Assertion":
        draftOf(object.service).assertions.push(object);
        break;
      case "RateLimit":
        draftOf(object.service).rateLimits.push(object);
        break;
      case "JwtIssuer":
        draftOf(meshUnitName).issuers.push(object);
        break;
    }
  }
  refuseRepeatedNames(objects);
  draftOf(meshUnitName);
  const units = [...drafts].map(([name, draft]) => unitOf(name, draft));
  return units.sort((a, b) => compareNames(a.name, b.name));
}

/** The unit that an object is part of. */
function unitNameOf(object: PolicyObject): string {
  if (object.kind === "Service") return object.name;
  return object.kind === "JwtIssuer" ? meshUnitName : object.service;
}

/**
 * Units by the first of the objects they are made of: a mesh of thousands of services changes by one, and the others'
 * objects come again as the very same.
 */
const known = new WeakMap<PolicyObject, { readonly parts: readonly PolicyObject[]; readonly unit: Unit }>();
const encoded = new WeakMap<Unit, EncodedUnit>();

function unitOf(name: string, draft: Draft): Unit {
  const { parts, ...rest } = draft;
  const [first] = parts;
  const before = first && known.get(first);
  if (before?.parts.length === parts.length && before.parts.every((part, index) => part === parts[index]))
    return before.unit;
  const unit = canonicalUnit({ name, ...rest });
  if (first !== undefined) known.set(first, { parts, unit });
  return unit;
}

/** As `encodeUnit`; the same unit gives the same bytes without encoding it again. */
export function encodedUnit(unit: Unit): EncodedUnit {
  const before = encoded.get(unit);
  if (before !== undefined) return before;
  const made = encodeUnit(unit);
  encoded.set(unit, made);
  return made;
}

function emptyDraft(): Draft {
  return { parts: [], service: undefined, authorizations: [], routes: [], assertions: [], rateLimits: [], issuers: [] };
}

/** Names are unique in the mesh, which no unit can see by itself. */
function refuseRepeatedNames(objects: readonly PolicyObject[]): void {
  const seen = new Map<PolicyObject["kind"], Set<string>>();
  for (const { kind, name } of objects) {
    const names = seen.get(kind) ?? new Set();
    if (names.has(name)) throw new AshlarError("invalid_policy", `${kind} ${name} is there twice`);
    seen.set(kind, names.add(name));
  }
}

/** The snapshot of `objects`: born complete and frozen; the same digest whatever their order. Fails as `unitsOf` and `encodeUnit` do. */
export function buildSnapshot(objects: readonly PolicyObject[]): Snapshot {
  const units = unitsOf(objects).map(encodedUnit);
  const list = encodeSnapshotList(units.map(({ unit, digest }) => ({ name: unit.name, digest })));
  return Object.freeze({ list, units: Object.freeze(units) });
}
