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
  const units = [...drafts].map(([name, draft]) => canonicalUnit({ name, ...draft }));
  return units.sort((a, b) => compareNames(a.name, b.name));
}

function emptyDraft(): Draft {
  return { service: undefined, authorizations: [], routes: [], assertions: [], rateLimits: [], issuers: [] };
}

/** Names are unique in the mesh, which no unit can see by itself. */
function refuseRepeatedNames(objects: readonly PolicyObject[]): void {
  const seen = new Set<string>();
  for (const { kind, name } of objects) {
    const key = `${kind} ${name}`;
    if (seen.has(key)) throw new AshlarError("invalid_policy", `${key} is there twice`);
    seen.add(key);
  }
}

/** The snapshot of `objects`: born complete and frozen; the same digest whatever their order. Fails as `unitsOf` and `encodeUnit` do. */
export function buildSnapshot(objects: readonly PolicyObject[]): Snapshot {
  const units = unitsOf(objects).map(encodeUnit);
  const list = encodeSnapshotList(units.map(({ unit, digest }) => ({ name: unit.name, digest })));
  return Object.freeze({ list, units: Object.freeze(units) });
}
